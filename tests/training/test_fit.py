from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_run import SPEC, tiny_config, tiny_network, tiny_options, write_images, write_labels
from torch import Tensor, nn

from cxr_edge.decode import decode
from cxr_edge.errors import DatasetError, OutputError, UsageError
from cxr_edge.labels import read_labels
from cxr_edge.preprocess import preprocess
from training import fit as fit_module
from training.config import Augmentation, Stage
from training.dataset import RadiographDataset, targets_of
from training.entry import configuration
from training.fit import Fitting, Progress, fit, one_cycle, parameter_groups, positive_weights, predict

CPU = torch.device("cpu")
STAGES = (Stage(64, 1), Stage(32, 2))
STEPS_PER_EPOCH = 2


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> RadiographDataset:
    """Nine phantoms: two full batches of four in an epoch, and one image that is left out of it."""
    folder = tmp_path_factory.mktemp("data")
    names = write_images(folder, 9, side=64)
    path = write_labels(folder / "labels.csv", [{"file": name, "label": i % 2} for i, name in enumerate(names)])
    images = read_labels(path).images
    return RadiographDataset(images, targets_of(images, "abnormality"), SPEC, Augmentation(), seed=7)


def fitting(data: RadiographDataset, dropout: float = 0.5, **changes: Any) -> Fitting:
    config = tiny_config(**{"stages": STAGES, "averaging": 0.5, "dropout": dropout, "seed": 7, **changes})
    return Fitting(tiny_network(dropout=dropout), config, data, CPU)


def run(
    fitting: Fitting,
    directory: Path,
    *,
    stop: Callable[[], bool] = lambda: False,
    progress: Callable[[Progress], None] = lambda progress: None,
) -> dict[str, Tensor]:
    """Averaged weights after fitting in the directory, which is made where it is missing."""
    directory.mkdir(exist_ok=True)
    fit(fitting, directory, on_progress=progress, on_epoch=lambda epoch: {}, stop_requested=stop)
    return fitting.result.state_dict()


def after(steps: int) -> Callable[[], bool]:
    """True from the given number of questions on."""
    asked = iter(range(1, 1000))
    return lambda: next(asked) >= steps


def history(directory: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (directory / "history.jsonl").read_text().splitlines()]


def assert_equal(some: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    assert list(some) == list(other)
    different = [name for name in some if not torch.equal(some[name], other[name])]
    assert not different


@pytest.mark.parametrize("tune", ["all", "head"])
@pytest.mark.parametrize("steps", [1, 2, 3, 6], ids=lambda steps: f"after {steps} of 6 steps")
def test_a_stopped_run_goes_on_to_the_same_bits_as_one_that_was_never_stopped(
    data: RadiographDataset, tmp_path: Path, steps: int, tune: str
) -> None:
    expected = run(fitting(data, tune=tune), tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        run(fitting(data, tune=tune), tmp_path / "stopped", stop=after(steps))
    resumed = fitting(data, tune=tune)
    torch.manual_seed(999)  # another process has another random state
    assert_equal(run(resumed, tmp_path / "stopped"), expected)
    assert history(tmp_path / "stopped") == history(tmp_path / "whole")


def test_dropout_takes_part_in_training(data: RadiographDataset, tmp_path: Path) -> None:
    # Without this the equality of resumed runs would say nothing about the random state.
    some, other = (run(fitting(data, dropout), tmp_path / str(dropout)) for dropout in (0.0, 0.5))
    assert not torch.equal(some["head.weight"], other["head.weight"])


def test_a_power_cut_costs_repeated_steps_but_changes_nothing(data: RadiographDataset, tmp_path: Path) -> None:
    expected = run(fitting(data), tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        run(fitting(data), tmp_path / "cut", stop=after(1))

    def cut(progress: Progress) -> None:
        if progress.epoch == 1:
            raise OSError("power cut")

    with pytest.raises(OSError, match="power cut"):
        run(fitting(data), tmp_path / "cut", progress=cut)
    assert [line["epoch"] for line in history(tmp_path / "cut")] == [1]
    assert_equal(run(fitting(data), tmp_path / "cut"), expected)
    assert history(tmp_path / "cut") == history(tmp_path / "whole")


def test_the_state_is_saved_along_the_way(
    data: RadiographDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fit_module, "SAVE_EVERY_S", 0.0)

    def cut(progress: Progress) -> None:
        if (progress.epoch, progress.step) == (1, 2):
            raise OSError("power cut")

    with pytest.raises(OSError, match="power cut"):
        run(fitting(data), tmp_path / "cut", progress=cut)
    resumed = fitting(data)
    resumed.restore(tmp_path / "cut" / "state.pt")
    assert (resumed.epoch, resumed.step) == (1, 1)


def test_the_history_has_one_line_an_epoch(data: RadiographDataset, tmp_path: Path) -> None:
    run(fitting(data), tmp_path / "run")
    lines = history(tmp_path / "run")
    assert [(line["epoch"], line["size"]) for line in lines] == [(1, 64), (2, 32), (3, 32)]
    assert all(np.isfinite(line["loss"]) for line in lines)
    assert lines[-1]["learning_rate"] < 1e-6  # the schedule has come down, not begun to rise again


def test_progress_counts_steps_and_epochs(data: RadiographDataset, tmp_path: Path) -> None:
    seen: list[Progress] = []
    run(fitting(data), tmp_path / "run", progress=seen.append)
    assert [(p.epoch, p.step) for p in seen] == [(epoch, step) for epoch in range(3) for step in (1, 2)]
    assert {(p.epochs, p.steps) for p in seen} == {(3, STEPS_PER_EPOCH)}


def test_a_loss_that_is_not_a_number_stops_the_training(data: RadiographDataset, tmp_path: Path) -> None:
    poisoned = fitting(data)
    with torch.no_grad():
        poisoned.network.head.weight.fill_(float("nan"))
    with pytest.raises(DatasetError, match=r"loss became nan in epoch 1; lower --learning-rate"):
        run(poisoned, tmp_path / "run")
    assert not (tmp_path / "run" / "state.pt").exists()


def test_tuning_the_head_leaves_every_number_of_the_backbone(data: RadiographDataset, tmp_path: Path) -> None:
    before = tiny_network().state_dict()
    tuned = fitting(data, tune="head")
    averaged = run(tuned, tmp_path / "run")
    for after_training in (tuned.network.state_dict(), averaged):
        changed = {name for name in before if not torch.equal(before[name], after_training[name])}
        assert changed == {"head.weight", "head.bias"}


def test_tuning_all_layers_changes_weights_and_statistics_of_the_backbone(
    data: RadiographDataset, tmp_path: Path
) -> None:
    before, averaged = tiny_network().state_dict(), run(fitting(data), tmp_path / "run")
    for name in ("features.conv0.weight", "features.norm5.running_mean", "features.norm5.running_var", "head.weight"):
        assert not torch.equal(before[name], averaged[name])


def test_the_result_is_the_average_of_the_weights_not_the_last_ones(data: RadiographDataset, tmp_path: Path) -> None:
    """An exponential average is recomputed from the weights after each step."""
    fitted, seen = fitting(data, averaging=0.75), []
    averaged = run(
        fitted, tmp_path / "run", progress=lambda progress: seen.append(fitted.network.head.weight.detach().clone())
    )
    expected = seen[0]
    for weight in seen[1:]:
        expected = 0.75 * expected + 0.25 * weight
    torch.testing.assert_close(averaged["head.weight"], expected, rtol=1e-5, atol=1e-7)
    assert not torch.equal(averaged["head.weight"], seen[-1])


def test_predictions_stand_in_the_order_of_the_images_without_augmentation(data: RadiographDataset) -> None:
    network = tiny_network().train()
    plain = RadiographDataset(data.images, data.targets, SPEC)
    logits = predict(network, plain, 32, CPU, batch_size=4)
    assert logits.shape == (9, 1)
    assert logits.dtype == np.float32
    assert network.training
    network.eval()
    for image, logit in zip(data.images, logits, strict=True):
        alone = network(torch.from_numpy(preprocess(decode(image.path), SPEC)[None, None]))[0].item()
        assert logit[0] == pytest.approx(alone, abs=1e-5)


@pytest.mark.parametrize("content", ["text", "list", "other network", "truncated"])
def test_a_state_that_does_not_fit_is_refused_with_what_to_do(
    data: RadiographDataset, tmp_path: Path, content: str
) -> None:
    state = tmp_path / "state.pt"
    if content == "text":
        state.write_text("not a state")
    elif content == "list":
        torch.save([1, 2], state)
    elif content == "other network":
        torch.save({"network": nn.Linear(2, 1).state_dict()}, state)
    else:
        fitting(data).save(state)
        state.write_bytes(state.read_bytes()[:-1000])
    with pytest.raises(DatasetError, match=r"state\.pt cannot be resumed from .*delete it"):
        fitting(data).restore(state)


def test_a_state_that_cannot_be_written_is_an_output_error(data: RadiographDataset, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="missing"):
        fitting(data).save(tmp_path / "missing" / "state.pt")


def test_classes_are_balanced_up_to_a_cap() -> None:
    targets = np.zeros((100, 3), np.float32)
    targets[:20, 0] = 1
    targets[:99, 1] = 1
    np.testing.assert_allclose(positive_weights(targets).numpy(), [4.0, 0.1, 10.0])


def test_only_weights_decay_not_biases_or_normalisation() -> None:
    decayed, kept = parameter_groups(tiny_network(), 0.05)
    assert (decayed["weight_decay"], kept["weight_decay"]) == (0.05, 0.0)
    assert {p.ndim for p in decayed["params"]} == {4}
    assert {p.ndim for p in kept["params"]} == {1}


@pytest.mark.parametrize("steps", [3, 4, 5, 10, 100])
def test_the_learning_rate_rises_to_its_peak_and_falls_to_nothing(steps: int) -> None:
    optimizer = torch.optim.AdamW([nn.Parameter(torch.zeros(1))], lr=1.0)
    schedule = one_cycle(optimizer, 1e-3, steps)
    rates = [schedule.get_last_lr()[0]]
    for _ in range(steps - 1):
        optimizer.step()
        schedule.step()
        rates.append(schedule.get_last_lr()[0])
    top = int(np.argmax(rates))
    assert 0 < top < steps - 1
    assert rates == [*sorted(rates[: top + 1]), *sorted(rates[top + 1 :], reverse=True)]
    assert 0.9e-3 < rates[top] <= 1e-3
    assert rates[-1] < 1e-8


def test_fewer_than_three_steps_are_no_training(data: RadiographDataset) -> None:
    with pytest.raises(DatasetError, match="training would take 2 steps"):
        fitting(data, stages=(Stage(32, 1),))


def test_what_is_kept_lies_on_the_line_between_start_and_end(data: RadiographDataset, tmp_path: Path) -> None:
    """Trained alike, stopped or not: a quarter of the start, three of the end, normalisation statistics too."""
    start = tiny_network(dropout=0.5).state_dict()
    end = run(fitting(data), tmp_path / "end")
    with pytest.raises(KeyboardInterrupt):
        run(fitting(data, keep_initial=0.25), tmp_path / "kept", stop=after(3))
    kept = run(fitting(data, keep_initial=0.25), tmp_path / "kept")
    for name, value in kept.items():
        expected = 0.25 * start[name] + 0.75 * end[name] if value.ndim else end[name]
        torch.testing.assert_close(value, expected, rtol=1e-5, atol=1e-6)
    moved = [name for name in end if not torch.equal(start[name], end[name])]
    assert {"head.weight", "features.norm5.running_mean"} <= set(moved)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"keep_initial": 0.5}, "needs --initial"),
        ({"keep_initial": 1.0, "initial": Path("x.pt")}, "from 0 up to"),
        ({"keep_initial": float("nan"), "initial": Path("x.pt")}, "from 0 up to"),
    ],
)
def test_a_share_of_nothing_or_of_everything_is_refused(
    changes: dict[str, object], message: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=message):
        configuration(tiny_options(tmp_path / "run", tmp_path / "labels.csv", **changes))
