from __future__ import annotations

from pathlib import Path

import pytest

from cxr_edge.errors import DatasetError, UsageError
from cxr_edge.evaluation.parity import parity_images


def test_a_label_file_may_carry_its_own_filters(labels: Path) -> None:
    images = parity_images([f"{labels}@half=0,label=1"])
    assert images.sources[0].where == ("half=0", "label=1")
    assert {image.columns["half"] for image in images.images} == {"0"}


def test_filters_for_all_files_come_on_top(labels: Path) -> None:
    assert parity_images([f"{labels}@half=0"], ("label=1",)).sources[0].where == ("label=1", "half=0")


def test_an_image_listed_twice_is_taken_once(labels: Path) -> None:
    images = parity_images([f"{labels}@half=0", str(labels)])
    assert len(images.images) == 48
    assert [len(source.images) for source in images.sources] == [24, 24]


def test_a_file_whose_name_holds_the_sign_is_found(labels: Path) -> None:
    odd = labels.parent / "site@north.csv"
    odd.write_bytes(labels.read_bytes())
    try:
        assert len(parity_images([str(odd)]).images) == 48
    finally:
        odd.unlink()


def test_a_filter_that_leaves_nothing_is_refused(labels: Path) -> None:
    with pytest.raises(UsageError, match="leaves no image"):
        parity_images([f"{labels}@half=7"])


def test_no_file_at_all_is_refused() -> None:
    with pytest.raises(DatasetError, match="at least one label file"):
        parity_images([])
