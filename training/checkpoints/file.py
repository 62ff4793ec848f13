"""A checkpoint file to plain tensors and numbers, without running anything that the file holds.

A pickle is a program. Only torch's restricted unpickler (``weights_only=True``) ever sees the file; on top of torch's
own list it may rebuild numpy scalars, because training scripts store ``best_loss`` as one.
"""

from __future__ import annotations

import pickle
import re
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

from cxr_edge.errors import DatasetError

__all__ = ["read_checkpoint_file"]

_SCALAR_TYPES = (np.float64, np.float32, np.float16, np.int64, np.int32, np.bool_)
_REBUILD_SCALAR = np.float64(0).__reduce__()[0]
# numpy 2 moved numpy.core to numpy._core: files name the function by the place it had when they were written.
_NUMPY_SCALARS: list[Any] = [
    (_REBUILD_SCALAR, "numpy.core.multiarray.scalar"),
    (_REBUILD_SCALAR, "numpy._core.multiarray.scalar"),
    np.dtype,
    *(type(np.dtype(scalar)) for scalar in _SCALAR_TYPES),
]

_HOW_TO_CONVERT = (
    "Save its state dict instead, in an environment and from a file that you trust: "
    "model = torch.load(FILE, weights_only=False); torch.save(model.state_dict(), 'state.pth')"
)


def read_checkpoint_file(path: Path) -> Any:
    """What ``torch.save`` put into the file, on the CPU: tensors, numbers, strings and containers of them.

    Args:
        path: a file in torch's zip format or in the older one.

    Raises:
        DatasetError: missing, a directory, unreadable, empty, truncated, not a torch file, or one that needs code to
            be loaded (a whole pickled model, a TorchScript archive); the message says how to convert it.
    """
    _check_kind(path)
    try:
        # Storage classes of old torch versions only warn; the file's fate must not hang on the warning filter.
        with warnings.catch_warnings(), torch.serialization.safe_globals(_NUMPY_SCALARS):
            warnings.simplefilter("ignore")
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise _refusal(path, error) from error
    # A damaged pickle stream raises nearly anything (KeyError, EOFError, RuntimeError, UnicodeDecodeError ...).
    except Exception as error:
        raise DatasetError(
            f"checkpoint {path} is damaged or truncated ({type(error).__name__}); copy or download it again"
        ) from error


def _check_kind(path: Path) -> None:
    """Refuses what torch would misread or explain badly, by the first bytes of the file."""
    if not path.exists():
        raise DatasetError(f"checkpoint {path} does not exist; check the path")
    if path.is_dir():
        raise DatasetError(f"checkpoint {path} is a directory; name the checkpoint file in it")
    try:
        with path.open("rb") as file:
            head = file.read(16)
    except OSError as error:
        raise DatasetError(f"checkpoint {path} cannot be read: {error.strerror}") from error
    if not head:
        raise DatasetError(f"checkpoint {path} is empty (0 bytes); copy or download it again")
    # safetensors: eight bytes with the size of a JSON header, then the header.
    if path.suffix == ".safetensors" or (
        head[8:9] == b"{" and int.from_bytes(head[:8], "little") < path.stat().st_size
    ):
        raise DatasetError(
            f"checkpoint {path} is a safetensors file, which is not supported; convert it: "
            "torch.save(safetensors.torch.load_file(FILE), 'state.pth')"
        )
    if head.startswith(b"PK\x03\x04"):
        _check_archive(path)
    elif not head.startswith(b"\x80"):
        raise DatasetError(f"checkpoint {path} is not a file of torch.save; a torch checkpoint is expected")


def _check_archive(path: Path) -> None:
    """Refuses TorchScript, which torch.load would hand on to another loader, and zip files that lost their end."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.namelist()
    # zipfile lets more than BadZipFile through for a damaged directory (UnicodeDecodeError, NotImplementedError ...).
    except Exception as error:
        raise DatasetError(f"checkpoint {path} is damaged or truncated; copy or download it again") from error
    if any(member.endswith("/constants.pkl") for member in members):
        raise DatasetError(f"checkpoint {path} is a TorchScript archive, which is code: refused. {_HOW_TO_CONVERT}")
    if not any(member.endswith("/data.pkl") for member in members):
        raise DatasetError(f"checkpoint {path} is a zip file but none of torch.save; a torch checkpoint is expected")


def _refusal(path: Path, error: pickle.UnpicklingError) -> DatasetError:
    """The error for a pickle that the restricted unpickler refused: it names the class when torch tells it."""
    named = re.search(r"GLOBAL ([\w.]+)", str(error))
    if named is None:
        return DatasetError(f"checkpoint {path} is damaged, or no file of torch.save; copy or download it again")
    return DatasetError(
        f"checkpoint {path} holds more than tensors (it names {named[1]}), so that loading it could run code: refused. "
        + _HOW_TO_CONVERT
    )
