from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from cxr_edge.errors import DatasetError, UsageError
from cxr_edge.labels import LabelledImage
from training.splits import Member, cross_validation, held_out_share, whole_set


def image(number: int, fold: str | None = None, patient: str | None = None, dataset: str = "a") -> LabelledImage:
    return LabelledImage(
        path=Path(f"{number}.png"),
        label=number % 2,
        patient_id=patient or f"p{number}",
        dataset=dataset,
        fold=fold,
        split=None,
        finding_labels=(),
        mask=None,
        columns={},
        line=number,
    )


def folded(folds: int = 5, each: int = 4) -> list[LabelledImage]:
    return [image(number, str(number // 2 % folds)) for number in range(folds * each)]


def patients(images: tuple[LabelledImage, ...]) -> set[tuple[str, str]]:
    return {image.patient for image in images}


def test_every_image_is_predicted_by_exactly_one_member_that_never_saw_its_patient() -> None:
    images = folded()
    members = cross_validation(images)
    assert [member.name for member in members] == ["fold-0", "fold-1", "fold-2", "fold-3", "fold-4"]
    assert sorted(i.line for member in members for i in member.held_out) == [i.line for i in images]
    for member in members:
        assert not patients(member.training) & patients(member.held_out)
        assert len(member.training) + len(member.held_out) == len(images)


def test_the_release_fold_is_seen_by_no_member_and_predicted_by_one() -> None:
    members = cross_validation(folded(), release_fold="2")
    assert all(i.fold != "2" for member in members for i in member.training)
    assert [member.name for member in members if any(i.fold == "2" for i in member.held_out)] == ["fold-2"]
    trained_on = {member.fold: {i.fold for i in member.training} for member in members}
    assert trained_on["2"] == {"0", "1", "3", "4"}
    assert trained_on["0"] == {"1", "3", "4"}


def test_images_without_a_fold_are_counted() -> None:
    with pytest.raises(DatasetError, match="1 of 21 images have no fold"):
        cross_validation([*folded(), image(99)])


def test_one_fold_is_no_cross_validation() -> None:
    with pytest.raises(DatasetError, match="at least two folds"):
        cross_validation(folded(1))


def test_a_fold_with_one_class_is_named() -> None:
    with pytest.raises(DatasetError, match="fold x has images of one class only"):
        cross_validation([*folded(), image(30, "x"), image(32, "x")])


def test_an_unknown_release_fold_is_refused_with_those_there_are() -> None:
    with pytest.raises(UsageError, match=r"'9' does not occur; the label file has folds 0, 1"):
        cross_validation(folded(2), release_fold="9")


def test_a_release_fold_needs_two_others_to_cross_validate_on() -> None:
    with pytest.raises(DatasetError, match="fold-1 has no images to train on"):
        cross_validation(folded(2), release_fold="0")


@pytest.mark.parametrize("name", ["../up", "a/b", ".", " "])
def test_a_fold_that_would_leave_the_run_folder_is_refused(name: str) -> None:
    with pytest.raises(DatasetError, match="cannot name a folder"):
        cross_validation([*folded(2), image(50, name), image(51, name)])


@pytest.mark.parametrize("release_fold", [None, "0", "1", "3"])
def test_a_patient_in_two_folds_is_refused(release_fold: str | None) -> None:
    images = folded()
    shared = [replace(i, patient_id="same") if i.line in (0, 2) else i for i in images]  # folds 0 and 1
    with pytest.raises(DatasetError, match="1 patients are both trained on and held out"):
        cross_validation(shared, release_fold)


def test_equal_ids_of_different_data_sets_are_different_patients() -> None:
    Member("m", None, (image(0, patient="1", dataset="a"),), (image(1, patient="1", dataset="b"),))


def test_the_held_out_share_is_patient_disjoint_and_about_as_large_as_asked() -> None:
    images = [image(number, patient=f"p{number // 3}") for number in range(3000)]
    member = held_out_share(images, 0.2, seed=0)
    assert not patients(member.training) & patients(member.held_out)
    assert sorted(i.line for i in member.training + member.held_out) == list(range(3000))
    assert 0.15 < len(member.held_out) / 3000 < 0.25


def test_who_is_held_out_depends_on_patient_and_seed_alone() -> None:
    images = [image(number) for number in range(200)]
    chosen = patients(held_out_share(images, 0.3, seed=0).held_out)
    fewer = held_out_share(images[::-1][:100], 0.3, seed=0)
    assert patients(fewer.held_out) == {i.patient for i in images[100:]} & chosen
    assert patients(held_out_share(images, 0.3, seed=1).held_out) != chosen


def test_the_whole_set_is_trained_on_and_nobody_predicted() -> None:
    member = whole_set([image(0), image(1)])
    assert (len(member.training), member.held_out, member.fold) == (2, (), None)


def test_nobody_left_to_train_on_is_an_error() -> None:
    with pytest.raises(DatasetError, match="no images to train on"):
        whole_set([])
