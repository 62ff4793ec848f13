"""The one error tree. Each class carries the exit code that the command line returns for it.

A message says what is wrong, the value seen, and how to fix it. It never holds patient data: a DICOM attribute
is named by its keyword, its value is quoted only when it is technical (a transfer syntax, a bit depth, a size).
"""

from __future__ import annotations

__all__ = [
    "BatchError",
    "BundleError",
    "CheckFailedError",
    "CorruptInputError",
    "CxrEdgeError",
    "DatasetError",
    "EngineError",
    "OutputError",
    "RefusedInputError",
    "ResourceLimitError",
    "SeenDataError",
    "UnsupportedInputError",
    "UsageError",
]


class CxrEdgeError(Exception):
    """Base of every error that this library raises on purpose; exit code 1 when nothing more precise applies."""

    exit_code = 1
    code = "internal"


class UsageError(CxrEdgeError):
    """The call or the command line itself is wrong: an unknown option value, arguments that contradict each other."""

    exit_code = 2
    code = "usage"


class CorruptInputError(CxrEdgeError):
    """The input is empty, truncated, not an image, or its contents contradict its header."""

    exit_code = 3
    code = "corrupt"


class DatasetError(CorruptInputError):
    """A label file, a run directory or a checkpoint cannot be used as it is."""

    code = "dataset"


class UnsupportedInputError(CxrEdgeError):
    """A well-formed input of a kind that this version does not read; the message names the kind."""

    exit_code = 4
    code = "unsupported"


class RefusedInputError(CxrEdgeError):
    """The input gate found that the image is no usable frontal chest X-ray."""

    exit_code = 5
    code = "refused"

    def __init__(self, message: str, reasons: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.reasons = reasons


class BundleError(CxrEdgeError):
    """A bundle is missing, incomplete, tampered with, or of a schema that this version cannot read."""

    exit_code = 6
    code = "bundle"


class EngineError(CxrEdgeError):
    """An inference engine is missing, failed, or does not fit the bundle."""

    exit_code = 7
    code = "engine"


class ResourceLimitError(CxrEdgeError):
    """A size, memory or time limit was exceeded; raised before the resource is taken wherever a header tells."""

    exit_code = 8
    code = "limit"


class OutputError(CxrEdgeError):
    """An output could not be written; whatever stood at its place before is unchanged."""

    exit_code = 9
    code = "output"


class BatchError(CxrEdgeError):
    """At least one input of a batch was not ok; every input has its own result all the same."""

    exit_code = 10
    code = "batch"


class CheckFailedError(CxrEdgeError):
    """A check (self-test, parity, regression) was carried out and did not hold."""

    exit_code = 11
    code = "check"


class SeenDataError(CheckFailedError):
    """Images offered as evidence were already seen by the model in some role."""

    code = "seen"
