from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from tiny_run import three_folds, write_labels

from calibration.ranges import choose_range_images, network_inputs
from cxr_edge.data_use import Footprint, footprint, patient_hash
from cxr_edge.errors import DatasetError, RefusedInputError, SeenDataError, UsageError
from cxr_edge.labels import LabelFile, read_labels
from cxr_edge.phantom.files import png_bytes
from cxr_edge.preprocess import preprocess
from cxr_edge.preprocess.spec import PreprocessSpec
from cxr_edge.records import Frame, Radiograph

SPEC = PreprocessSpec(height=32, width=32)


@pytest.fixture(scope="module")
def labels(tmp_path_factory: pytest.TempPathFactory) -> LabelFile:
    return read_labels(three_folds(tmp_path_factory.mktemp("labels"), per_fold=4))


def test_labels_and_development_folds_have_equal_shares(labels: LabelFile) -> None:
    chosen = choose_range_images(labels, 4, release_fold="0").labels.images
    assert Counter((image.label, image.fold) for image in chosen) == {
        (label, fold): 1 for label in (0, 1) for fold in ("1", "2")
    }


def test_the_choice_depends_on_the_seed_alone(labels: LabelFile) -> None:
    first, same = (choose_range_images(labels, 5, seed=3).sha256 for _ in range(2))
    others = {choose_range_images(labels, 5, seed=seed).sha256 for seed in range(6)}
    assert first == same
    assert len(others) > 1


def test_all_are_taken_where_there_are_fewer(labels: LabelFile) -> None:
    chosen = choose_range_images(labels, 400, release_fold="1")
    assert len(chosen.sha256) == len(chosen.labels.images) == 9
    assert all(image.fold != "1" for image in chosen.labels.images)


def test_the_footprint_is_that_of_the_chosen_images(labels: LabelFile) -> None:
    chosen = choose_range_images(labels, 4)
    assert chosen.footprint == footprint(chosen.labels)
    assert {sha[:16] for sha in chosen.sha256} == chosen.footprint.images


def test_evaluated_images_and_patients_are_refused(labels: LabelFile) -> None:
    image = choose_range_images(labels, 400).labels.images[0]
    by_image = Footprint(frozenset({choose_range_images(labels, 400).sha256[0][:16]}), frozenset())
    by_patient = Footprint(frozenset(), frozenset({patient_hash(*image.patient)}))
    with pytest.raises(SeenDataError, match="1 range images and 0 of their patients"):
        choose_range_images(labels, 400, evaluated=by_image)
    with pytest.raises(SeenDataError, match="0 range images and 1 of their patients"):
        choose_range_images(labels, 400, evaluated=by_patient)


def test_nothing_to_choose_is_an_error(labels: LabelFile) -> None:
    with pytest.raises(UsageError, match="at least 1"):
        choose_range_images(labels, 0)
    only = read_labels(labels.path, ("fold=2",))
    with pytest.raises(DatasetError, match="without release fold 2"):
        choose_range_images(only, 4, release_fold="2")


def test_inputs_are_what_preprocessing_gives(labels: LabelFile) -> None:
    from cxr_edge.decode import decode

    chosen = choose_range_images(labels, 3)
    seen: list[int] = []
    batches = network_inputs(chosen, SPEC, batch=2, on_image=seen.append)
    assert [batch.shape for batch in batches] == [(2, 1, 32, 32), (1, 1, 32, 32)]
    assert seen == [1, 2, 3]
    expected = preprocess(decode(chosen.labels.images[2].path), SPEC)
    np.testing.assert_array_equal(batches[1][0, 0], expected)


def written(folder: Path, data: bytes) -> LabelFile:
    (folder / "one.png").write_bytes(data)
    return read_labels(write_labels(folder / "labels.csv", [{"file": "one.png", "label": 0}]))


def test_a_constant_image_is_refused(tmp_path: Path) -> None:
    grey = Radiograph.from_frame(np.full((256, 256), 90, np.uint8), Frame(bits_stored=8))
    chosen = choose_range_images(written(tmp_path, png_bytes(grey)), 1)
    with pytest.raises(RefusedInputError, match=r"labels.csv:2: the input gate refuses this range image \(.*constant"):
        network_inputs(chosen, SPEC)


def test_an_unreadable_image_is_named_by_its_line(tmp_path: Path) -> None:
    chosen = choose_range_images(written(tmp_path, b"\x89PNG\r\n\x1a\n cut"), 1)
    with pytest.raises(DatasetError, match=r"labels.csv:2: range image cannot be read"):
        network_inputs(chosen, SPEC)
