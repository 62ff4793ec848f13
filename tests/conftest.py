"""Fixtures that every room's tests share."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

# With import-mode=importlib the tests are no package; fixtures that need more than a few lines are plug-ins.
sys.path.insert(0, str(Path(__file__).parent / "plugins"))
pytest_plugins = ["tiny_bundle"]

SHARED = Path(__file__).resolve().parents[2] / "shared"


def shared_folder(name: str) -> Path:
    folder = SHARED / name
    if not folder.is_dir():
        pytest.skip(f"real test data not present: {folder}")
    return folder


@pytest.fixture(scope="session")
def dicom_folder() -> Path:
    """Real DICOM files beside the checkout; the test is skipped where they are absent."""
    return shared_folder("dicom")


@pytest.fixture(scope="session")
def shenzhen_folder() -> Path:
    """Real Shenzhen X-rays beside the checkout; the test is skipped where they are absent."""
    return shared_folder("data/shenzhen")


@pytest.fixture(scope="session")
def nih_folder() -> Path:
    """Real NIH X-rays beside the checkout; the test is skipped where they are absent."""
    return shared_folder("data/nih")
