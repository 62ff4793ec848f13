from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest
from tiny_run import TinyRun

from cxr_edge.bundle import Manifest
from cxr_edge.data_use import DataUse, Footprint
from cxr_edge.evaluation import Evaluation, Predictions, evaluate
from cxr_edge.evaluation.recipe import RecipeEvaluation, evaluate_recipe
from cxr_edge.probability import Interval, OperatingPoint, Temperature
from export.model_card import render_card
from training.run import Run

POINT = OperatingPoint(
    "balanced", 0.25, Interval(0.9, 0.8, 0.95, "t"), Interval(0.7, 0.6, 0.8, "t"), "chosen for tests"
)
SEEN = Footprint(frozenset({"0" * 16, "1" * 16}), frozenset({"2" * 16}))


@dataclass(frozen=True)
class CardParts:
    manifest: Manifest
    run: Run
    evaluation: Evaluation
    recipe: RecipeEvaluation


@pytest.fixture
def parts(bundle_parts: Any, tiny_run: TinyRun) -> CardParts:
    manifest = replace(
        bundle_parts.manifest,
        data_use=DataUse().with_role("train", SEEN).to_json(),
        operating_points=(POINT,),
        default_operating_point="balanced",
    )
    predictions = Predictions.of([0, 1, 0, 1], [-1.0, 2.0, 0.5, 0.1])
    evaluation = evaluate(predictions, Temperature(1.0), POINT)
    return CardParts(manifest, Run.open(tiny_run.directory), evaluation, evaluate_recipe(tiny_run.directory))


@pytest.fixture
def card(parts: CardParts) -> Callable[..., str]:
    """The card's text; keywords change the run's record, data sets or what the manifest says was seen."""

    def render(datasets: tuple[str, ...] = ("shenzhen",), seen: DataUse | None = None, **record: object) -> str:
        run = replace(parts.run, record={**parts.run.record, **record})
        manifest = replace(parts.manifest, data_use=seen.to_json()) if seen else parts.manifest
        return render_card(manifest, run, parts.evaluation, parts.recipe, datasets)

    return render


def test_the_card_names_the_model_its_use_and_what_it_must_not_be_used_for(card: Callable[..., str]) -> None:
    text = card()
    assert text.startswith("# tiny 1\n")
    assert "**It is not a medical device.** It must not be used for diagnosis" in text


def test_the_two_kinds_of_figures_stand_under_their_own_headings(parts: CardParts, card: Callable[..., str]) -> None:
    bundle, recipe = card().split("**The recipe**")
    assert "measured on fold 0" in bundle
    assert str(parts.evaluation.auc) in bundle
    assert str(parts.recipe.mean_auc) in recipe


def test_the_data_table_counts_images_and_patients_by_role(card: Callable[..., str]) -> None:
    assert "| train | 2 | 1 |" in card()


def test_operating_points_stand_with_their_figures_and_rule(card: Callable[..., str]) -> None:
    assert f"| balanced (default) | 0.2500 | {POINT.sensitivity} | {POINT.specificity} | chosen for tests |" in card()


def test_known_data_sets_come_with_origin_and_terms_and_others_as_unknown(card: Callable[..., str]) -> None:
    text = card(("our-hospital", "shenzhen"))
    assert "Jaeger et al." in text
    assert "`our-hospital`: its origin and terms are not known" in text
    assert "Jaeger et al." not in card(("our-hospital",))


def test_the_training_is_described_by_the_runs_record(parts: CardParts, card: Callable[..., str]) -> None:
    text = card()
    assert "3 epochs at 32x32" in text
    assert "batches of 4" in text
    assert f"`{parts.run.record['labels_sha256']}`" in text


def test_a_start_from_random_weights_says_so(card: Callable[..., str]) -> None:
    assert "- start: random weights;" in card(initial=None)


def test_a_start_from_a_run_of_ours_points_to_what_that_had_seen(card: Callable[..., str]) -> None:
    seen = DataUse().with_role("train", SEEN).with_role("pretrain", SEEN)
    assert "images of role `pretrain` above" in card(seen=seen, initial="runs/nih/model/model.pt")


def test_a_start_from_an_unknown_checkpoint_never_claims_to_know_its_data(card: Callable[..., str]) -> None:
    text = card(initial="/home/someone/downloads/densenet.pth")
    assert "the checkpoint `densenet.pth`; **what it has seen is not known and not listed above**" in text
    assert "/home" not in text
