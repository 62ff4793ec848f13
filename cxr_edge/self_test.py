"""Does this installation compute what the bundle's maker computed? The bundle's golden frame answers."""

from __future__ import annotations

import hashlib
from contextlib import nullcontext
from dataclasses import dataclass, replace

import numpy as np

from cxr_edge.bundle import Bundle
from cxr_edge.engines import ENGINES, EngineOptions, EngineRow, available_threads, open_engine
from cxr_edge.preprocess import PreprocessSpec, implementation
from cxr_edge.regions import network_input

__all__ = ["EngineCheck", "SelfTest", "golden_spec", "self_test"]


@dataclass(frozen=True, slots=True)
class EngineCheck:
    """One engine and precision against the expected logits.

    Attributes:
        engine, precision: what ran.
        difference: largest absolute difference of a logit.
        tolerance: largest one that the bundle allows.
    """

    engine: str
    precision: str
    difference: float
    tolerance: float

    @property
    def passed(self) -> bool:
        """Whether the difference is within tolerance."""
        return self.difference <= self.tolerance


@dataclass(frozen=True, slots=True)
class SelfTest:
    """Outcome of a self-test.

    Attributes:
        preprocessing: which implementation ran.
        preprocessing_exact: whether its output has the expected SHA-256.
        engines: every installed engine with every precision that the bundle gives it.
    """

    preprocessing: str
    preprocessing_exact: bool
    engines: tuple[EngineCheck, ...]

    @property
    def passed(self) -> bool:
        """Whether everything agreed, and at least one engine ran."""
        return self.preprocessing_exact and bool(self.engines) and all(check.passed for check in self.engines)


def self_test(bundle: Bundle) -> SelfTest:
    """Preprocess the bundle's golden frame and run it on every installed engine that is ready for one of its models.

    Args:
        bundle: verified bundle.

    Raises:
        EngineError: an installed engine fails to load or run its model.
    """
    golden = bundle.manifest.golden
    spec = golden_spec(bundle.manifest.preprocess)
    with bundle.open_localiser() or nullcontext() as localiser:
        image = network_input(bundle.golden_radiograph(), spec, localiser)
    checks = []
    for row in (row for row in ENGINES if row.is_installed()):
        for precision, model in bundle.manifest.models.items():
            if row.name not in model.engines or not_ready(bundle, row, precision):
                continue
            with open_engine(bundle, engine=row.name, precision=precision) as engine:
                logit = engine.infer(image[None, None]).logit[0]
            difference = float(np.abs(logit - np.array(golden.logit[precision])).max())
            checks.append(EngineCheck(row.name, precision, difference, golden.tolerance[precision]))
    # The hash is of little-endian float32, whatever the machine's byte order.
    digest = hashlib.sha256(image.astype("<f4").tobytes()).hexdigest()
    return SelfTest(implementation(), digest == golden.input_sha256, tuple(checks))


def golden_spec(spec: PreprocessSpec) -> PreprocessSpec:
    """How the golden frame is preprocessed: as any image, but never refused: a drawing may show no lungs."""
    return replace(spec, not_found="body") if spec.needs_lungs else spec


def not_ready(bundle: Bundle, row: EngineRow, precision: str) -> bool:
    """Whether an engine cannot open this model yet, such as one whose plan was never built on this device."""
    options = EngineOptions(precision, row.devices[0], available_threads())
    return row.misfit(bundle, options) is not None
