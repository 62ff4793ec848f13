from __future__ import annotations

from pathlib import Path

import pytest

from cxr_edge.errors import DatasetError, UsageError
from cxr_edge.labels import LabelledImage
from training.reproduce.plan import TEST, Split, cross_validation_plan, paper_plan


def image(number: int, fold: str | None = "0", label: int | None = None, patient: str | None = None) -> LabelledImage:
    return LabelledImage(
        path=Path(f"{number}.png"),
        label=number % 2 if label is None else label,
        patient_id=patient or f"p{number}",
        dataset="d",
        fold=fold,
        split=None,
        finding_labels=(),
        mask=None,
        columns={},
        line=number + 2,
    )


@pytest.fixture
def images() -> list[LabelledImage]:
    """Five folds of eight images; each patient has two, of one label."""
    return [image(n, str(n // 4 % 5), n // 2 % 2, f"p{n // 2}") for n in range(40)]


def patients(split_part: tuple[int, ...], images: list[LabelledImage]) -> set[str]:
    return {images[number].patient_id for number in split_part}


def of_repeat(plan: tuple[Split, ...], repeat: int) -> list[Split]:
    return [split for split in plan if split.repeat == repeat]


def test_the_first_division_is_the_fold_column(images: list[LabelledImage]) -> None:
    plan = cross_validation_plan(images, repeats=1, seed=1)
    assert [split.name for split in plan] == list("01234")
    for split in plan:
        assert {images[number].fold for number in split.held_out} == {split.name}
        assert sorted(split.training + split.held_out) == list(range(40))


def test_further_divisions_predict_everybody_once_with_no_patient_on_both_sides(images: list[LabelledImage]) -> None:
    plan = cross_validation_plan(images, repeats=3, seed=1)
    divisions = set()
    for repeat in (1, 2):
        splits = of_repeat(plan, repeat)
        assert sorted(number for split in splits for number in split.held_out) == list(range(40))
        for split in splits:
            assert not patients(split.training, images) & patients(split.held_out, images)
            assert {images[number].label for number in split.held_out} == {0, 1}
        divisions.add(tuple(split.held_out for split in splits))
    assert len(divisions) == 2
    assert cross_validation_plan(images, repeats=3, seed=1) == plan
    assert cross_validation_plan(images, repeats=3, seed=2) != plan


def test_nobody_who_helps_to_choose_the_threshold_has_seen_the_papers_test_images(images: list[LabelledImage]) -> None:
    test, *others = paper_plan(images, repeats=1, seed=3)
    assert (test.name, test.scored, len(test.held_out)) == (TEST, True, 8)
    assert sorted(number for split in others for number in split.held_out) == sorted(test.training)
    for split in others:
        assert not split.scored
        assert not patients(test.held_out, images) & patients(split.training + split.held_out, images)
        assert not patients(split.training, images) & patients(split.held_out, images)


def test_each_repeat_draws_other_test_images(images: list[LabelledImage]) -> None:
    tests = [split.held_out for split in paper_plan(images, repeats=3, seed=3) if split.name == TEST]
    assert len(set(tests)) == 3


def test_folds_that_are_missing_or_lack_a_class_are_refused(images: list[LabelledImage]) -> None:
    with pytest.raises(DatasetError, match="1 of 41 images have no fold"):
        cross_validation_plan([*images, image(40, None)], repeats=1, seed=1)
    with pytest.raises(DatasetError, match="fold 7 has images of one class only"):
        cross_validation_plan([*images, image(40, "7")], repeats=1, seed=1)


def test_a_class_too_rare_to_be_in_every_part_is_refused() -> None:
    with pytest.raises(DatasetError, match="the rarer class has 4 of 30 images: too few for 5 parts"):
        paper_plan([image(n, label=int(n < 4)) for n in range(30)], repeats=1, seed=1)


def test_a_class_of_too_few_patients_is_refused() -> None:
    same = [image(n, label=int(n < 10), patient="p" if n < 10 else None) for n in range(30)]
    with pytest.raises(DatasetError, match="too few patients"):
        paper_plan(same, repeats=1, seed=1)


def test_no_repeat_is_nothing_to_do(images: list[LabelledImage]) -> None:
    for plan in (cross_validation_plan, paper_plan):
        with pytest.raises(UsageError, match="--repeats 0"):
            plan(images, repeats=0, seed=1)
