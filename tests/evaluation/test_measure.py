"""Running a bundle over labelled images: what is measured, what is left out, and what may not be measured."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cxr_edge.classifier import Classifier
from cxr_edge.data_use import SEEN_STAMP, DataUse, Footprint, footprint
from cxr_edge.errors import BundleError, DatasetError, SeenDataError
from cxr_edge.evaluation.measure import measure
from cxr_edge.labels import LabelFile, read_labels
from cxr_edge.phantom import PhantomSpec, phantom
from cxr_edge.phantom.files import png_bytes

if TYPE_CHECKING:
    from tiny_bundle import BundleParts

IMAGES = 5
TOO_SMALL, BROKEN = 2, 3


@pytest.fixture(scope="module")
def labels(tmp_path_factory: pytest.TempPathFactory) -> LabelFile:
    """Five phantoms of four patients, the first two of the same one; number 2 is refused, number 3 unreadable."""
    folder = tmp_path_factory.mktemp("hospital")
    lines = ["file,label,patient_id,sex"]
    for number in range(IMAGES):
        side = 100 if number == TOO_SMALL else 240
        data = png_bytes(phantom(PhantomSpec(height=side, width=side, bits_stored=8, seed=number)))
        (folder / f"{number}.png").write_bytes(data[:500] if number == BROKEN else data)
        lines.append(f"{number}.png,{number % 2},p{max(number, 1)},{'FM'[number % 2]}")
    (folder / "labels.csv").write_text("\n".join(lines))
    return read_labels(folder / "labels.csv")


def part(labels: LabelFile, *numbers: int) -> LabelFile:
    return replace(labels, images=tuple(labels.images[number] for number in numbers))


NOTHING_SEEN = DataUse().with_role("train", Footprint(frozenset(), frozenset()))


@pytest.fixture
def opened(bundle_parts: BundleParts, tmp_path: Path) -> Iterator[Callable[[DataUse], Classifier]]:
    """Opens a classifier whose bundle has seen what is given."""
    classifiers = []

    def make(seen: DataUse = NOTHING_SEEN) -> Classifier:
        bundle_parts.manifest = replace(bundle_parts.manifest, data_use=seen.to_json())
        classifiers.append(Classifier.open(bundle_parts.write(tmp_path / "bundle"), threads=1))
        return classifiers[-1]

    yield make
    for classifier in classifiers:
        classifier.close()


def test_every_usable_image_is_predicted_as_the_classifier_predicts_it(
    opened: Callable[..., Classifier], labels: LabelFile
) -> None:
    classifier = opened()
    measurement = measure(classifier, labels)
    expected = [classifier.classify(labels.images[number].path).logit for number in (0, 1, 4)]
    assert measurement.predictions.logits.tolist() == expected
    assert measurement.predictions.labels.tolist() == [0, 1, 0]
    assert measurement.predictions.column("sex") == ("F", "M", "F")
    dataset = labels.images[0].dataset
    assert measurement.predictions.patients == (f"{dataset}/p1", f"{dataset}/p1", f"{dataset}/p4")
    assert measurement.stamp is None


def test_what_was_not_classified_is_named_with_its_reason(opened: Callable[..., Classifier], labels: LabelFile) -> None:
    measurement = measure(opened(), labels)
    assert measurement.refused == (str(labels.images[TOO_SMALL].path),)
    ((path, failure),) = measurement.failed
    assert path == str(labels.images[BROKEN].path)
    assert failure.code == "corrupt"


def test_progress_counts_every_image(opened: Callable[..., Classifier], labels: LabelFile) -> None:
    done: list[int] = []
    measure(opened(), labels, on_image=done.append)
    assert done == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("number", [TOO_SMALL, BROKEN], ids=["refused", "unreadable"])
def test_nothing_to_measure_is_an_error_with_the_reason(
    opened: Callable[..., Classifier], labels: LabelFile, number: int
) -> None:
    with pytest.raises(DatasetError, match=r"none of 1 images could be classified: \w"):
        measure(opened(), part(labels, number))


def test_an_image_without_label_is_an_error_before_anything_runs(
    opened: Callable[..., Classifier], labels: LabelFile
) -> None:
    unlabelled = replace(labels, images=(labels.images[0], replace(labels.images[1], label=None)))
    done: list[int] = []
    with pytest.raises(DatasetError, match="no label"):
        measure(opened(), unlabelled, on_image=done.append)
    assert done == []


def test_seen_images_are_refused_before_anything_runs(opened: Callable[..., Classifier], labels: LabelFile) -> None:
    seen = DataUse().with_role("temperature", footprint(part(labels, 4)))
    done: list[int] = []
    with pytest.raises(SeenDataError, match="temperature: 1 images, 1 patients"):
        measure(opened(seen), labels, on_image=done.append)
    assert done == []


def test_another_image_of_a_seen_patient_is_refused(opened: Callable[..., Classifier], labels: LabelFile) -> None:
    seen = DataUse().with_role("train", footprint(part(labels, 0)))
    with pytest.raises(SeenDataError, match="train: 0 images, 1 patients"):
        measure(opened(seen), part(labels, 1, 4))


def test_seen_images_can_be_measured_with_a_stamp(opened: Callable[..., Classifier], labels: LabelFile) -> None:
    seen = DataUse().with_role("train", footprint(part(labels, 0)))
    measurement = measure(opened(seen), part(labels, 0, 4), allow_seen=True)
    assert measurement.stamp == SEEN_STAMP
    assert measurement.predictions.images == 2


def test_a_bundle_that_does_not_say_what_it_has_seen_is_refused(
    bundle_parts: BundleParts, labels: LabelFile, tmp_path: Path
) -> None:
    path = bundle_parts.write(tmp_path / "bundle", lambda content: content.update(data_use={}))
    with pytest.raises(BundleError, match="data_use"), Classifier.open(path, threads=1) as classifier:
        measure(classifier, labels)
