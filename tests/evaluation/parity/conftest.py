from __future__ import annotations

from pathlib import Path

import pytest
from parity_case import ParityCase, parity_case, write_parity_bundle

from cxr_edge.bundle import Bundle, open_bundle
from cxr_edge.evaluation.parity import ParityReport, measure_parity, parity_images


@pytest.fixture(scope="session")
def case(tmp_path_factory: pytest.TempPathFactory) -> ParityCase:
    """Labelled phantoms and the model that their labels come from."""
    return parity_case(tmp_path_factory.getbasetemp())


@pytest.fixture(scope="session")
def bundle(case: ParityCase, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """FP32 and the same with INT8 weights."""
    return open_bundle(write_parity_bundle(tmp_path_factory.mktemp("bundles") / "parity", case))


@pytest.fixture(scope="session")
def report(bundle: Bundle, case: ParityCase) -> ParityReport:
    """INT8 against FP32 on all phantoms."""
    return measure_parity(bundle, parity_images([case.labels]), threads=1)


@pytest.fixture(scope="session")
def labels(case: ParityCase) -> Path:
    return case.labels
