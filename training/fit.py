"""Fit one network to one member's images; a run that was killed goes on at the same step with the same numbers."""

from __future__ import annotations

import copy
import io
import json
import pickle
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from cxr_edge.atomic import write_atomically
from cxr_edge.errors import DatasetError
from training.channel_shifts import with_channel_shifts
from training.config import TrainingConfig
from training.dataset import EpochBatches, RadiographDataset, batches
from training.laterality import laterality_loss, with_laterality_map, without_laterality_map
from training.model import CheXNet

__all__ = ["Fitting", "Progress", "fit", "predict"]

SAVE_EVERY_S = 120.0
"""A killed run loses at most about this much work."""


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a fitting stands after a step: epochs and steps count from 0, ``loss`` is that batch's mean loss."""

    epoch: int
    epochs: int
    step: int
    steps: int
    loss: float


class Fitting:
    """A network being fitted: weights, their moving average, optimizer, schedule, and the place in the schedule.

    Args:
        network: initial weights; changed in place.
        config: how to train.
        dataset: training images with augmentation.
        device: ``cpu`` or a CUDA device.

    Raises:
        DatasetError: images and epochs make fewer than three steps.
    """

    def __init__(
        self, network: CheXNet, config: TrainingConfig, dataset: RadiographDataset, device: torch.device
    ) -> None:
        self.config, self.dataset, self.device = config, dataset, device
        network.features.requires_grad_(config.tune == "all")
        self.outputs = network.outputs
        self.initial = copy.deepcopy(network.state_dict()) if config.keep_initial else {}
        if config.laterality:
            network = with_laterality_map(network)
        if config.channel_shifts:
            network = with_channel_shifts(network, config.channel_shifts)
        self.network: CheXNet = network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        average = get_ema_multi_avg_fn(config.averaging)  # type: ignore[no-untyped-call]
        self.averaged = AveragedModel(self.network, multi_avg_fn=average, use_buffers=True)
        trained = self.network.head if config.tune == "head" else self.network
        groups = parameter_groups(trained, config.weight_decay)
        # One pass over each tensor instead of ten: on one core a fifth of the time, per batch tens of milliseconds.
        self.optimizer = torch.optim.AdamW(groups, lr=config.learning_rate, fused=True)
        steps = sum(len(self.epoch_batches(epoch)) for epoch in range(config.epochs))
        self.schedule = one_cycle(self.optimizer, config.learning_rate, steps)
        self.positive_weight = positive_weights(dataset.targets).to(device) if config.balance else None
        self.epoch = self.step = 0
        self.losses: list[float] = []
        torch.manual_seed(config.seed)

    def epoch_batches(self, epoch: int, start: int = 0) -> EpochBatches:
        """The training batches of one epoch from batch ``start`` on."""
        size = self.config.stage_of(epoch).size
        return EpochBatches(
            len(self.dataset), self.config.batch_size, size, epoch=epoch, seed=self.config.seed, start=start
        )

    def train_step(self, images: Tensor, targets: Tensor) -> float:
        """Mean loss of one batch's decisions, after one step of the optimizer."""
        self.network.train()
        if self.config.tune == "head":
            self.network.features.eval()
        images = images.to(self.device, memory_format=torch.channels_last)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.config.precision == "bf16"):
            logit, cam = self.network(images)
        targets = targets.to(self.device)
        loss = nn.functional.binary_cross_entropy_with_logits(
            logit[:, : self.outputs].float(), targets[:, : self.outputs], pos_weight=self.positive_weight
        )
        value = float(loss.detach())
        if self.config.laterality:
            loss = loss + self.config.laterality * laterality_loss(cam[:, -1], targets[:, self.outputs :])
        if not bool(torch.isfinite(loss)):
            raise DatasetError(
                f"the loss became {float(loss.detach())} in epoch {self.epoch + 1}; lower --learning-rate"
            )
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        # Past its last step the schedule would rise again, and the history show a rate that nothing was trained at.
        if self.schedule.last_epoch < self.schedule.total_steps - 1:
            self.schedule.step()
        self.averaged.update_parameters(self.network)
        return value

    @property
    def result(self) -> CheXNet:
        """The averaged network, with its share of the initial one, without what only training needs; on the CPU."""
        averaged = self.averaged.module
        assert isinstance(averaged, CheXNet)
        network = without_laterality_map(averaged) if self.config.laterality else copy.deepcopy(averaged)
        network = network.cpu().eval()
        return blended(network, self.initial, self.config.keep_initial) if self.config.keep_initial else network

    def save(self, path: Path) -> None:
        """Write everything that `restore` needs to go on at this step.

        Raises:
            OutputError: the file cannot be written; an older state that stood there is unchanged.
        """
        state = {
            "network": self.network.state_dict(),
            "averaged": self.averaged.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "random": torch.get_rng_state(),
            "epoch": self.epoch,
            "step": self.step,
            "losses": self.losses,
        }
        if self.device.type == "cuda":  # dropout there draws from the device's own generator
            state["random_cuda"] = torch.cuda.get_rng_state(self.device)
        buffer = io.BytesIO()
        torch.save(state, buffer)
        write_atomically(path, buffer.getvalue())

    def restore(self, path: Path) -> None:
        """Go back to where `save` was called.

        Raises:
            DatasetError: the file is no state of this network and configuration.
        """
        try:
            state: dict[str, Any] = torch.load(path, weights_only=True, map_location=self.device)
            self.network.load_state_dict(state["network"])
            self.averaged.load_state_dict(state["averaged"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.schedule.load_state_dict(state["schedule"])
            torch.set_rng_state(state["random"].cpu())
            if self.device.type == "cuda":
                torch.cuda.set_rng_state(state["random_cuda"].cpu(), self.device)
            self.epoch, self.step, self.losses = state["epoch"], state["step"], state["losses"]
        except (KeyError, TypeError, RuntimeError, ValueError, EOFError, pickle.UnpicklingError) as error:
            # Only the first line: torch's messages go on for a page.
            reason = str(error).partition("\n")[0]
            raise DatasetError(
                f"{path} cannot be resumed from ({reason}); delete it to start this model again"
            ) from error


def fit(
    fitting: Fitting,
    directory: Path,
    *,
    on_progress: Callable[[Progress], None],
    on_epoch: Callable[[int], dict[str, float]],
    stop_requested: Callable[[], bool],
) -> None:
    """Train to the end of the schedule, resuming from ``directory/state.pt`` where there is one.

    Args:
        fitting: what to train; holds the result afterwards.
        directory: receives ``state.pt`` and ``history.jsonl``.
        on_progress: called after every step.
        on_epoch: called after every epoch; its figures join that epoch's line of the history.
        stop_requested: asked between steps; when true the state is saved and KeyboardInterrupt raised.
    """
    state = directory / "state.pt"
    if state.exists():
        fitting.restore(state)
    saved = time.monotonic()
    while fitting.epoch < fitting.config.epochs:
        sampler = fitting.epoch_batches(fitting.epoch, fitting.step)
        for images, targets in batches(fitting.dataset, sampler):
            loss = fitting.train_step(images, targets)
            fitting.losses.append(loss)
            fitting.step += 1
            on_progress(Progress(fitting.epoch, fitting.config.epochs, fitting.step, sampler.total, loss))
            if stop_requested():
                fitting.save(state)
                raise KeyboardInterrupt
            if time.monotonic() - saved > SAVE_EVERY_S:
                fitting.save(state)
                saved = time.monotonic()
        figures = {
            "epoch": fitting.epoch + 1,
            "size": sampler.size,
            "learning_rate": float(fitting.schedule.get_last_lr()[0]),
            "loss": float(np.mean(fitting.losses)),
            **on_epoch(fitting.epoch),
        }
        fitting.epoch, fitting.step, fitting.losses = fitting.epoch + 1, 0, []
        record_epoch(directory / "history.jsonl", figures)
    fitting.save(state)


def record_epoch(path: Path, figures: dict[str, float]) -> None:
    """Append one epoch's figures to the history, replacing lines of epochs that are being repeated after a kill."""
    lines = path.read_text().splitlines() if path.exists() else []
    kept = [line for line in lines if json.loads(line)["epoch"] < figures["epoch"]]
    write_atomically(path, ("\n".join([*kept, json.dumps(figures)]) + "\n").encode())


def predict(
    network: nn.Module, dataset: RadiographDataset, size: int, device: torch.device, batch_size: int = 16
) -> NDArray[np.float32]:
    """Logits ``[N, K]`` of every image of the data set in order, computed in float32 without augmentation."""
    was_training = network.training
    network.to(device).eval()
    with torch.inference_mode():
        rows = [
            network(images.to(device, memory_format=torch.channels_last))[0].float().cpu().numpy()
            for images, _ in batches(dataset, EpochBatches(len(dataset), batch_size, size))
        ]
    network.train(was_training)
    logits: NDArray[np.float32] = np.concatenate(rows)
    return logits


def blended(network: CheXNet, other: Mapping[str, Tensor], share: float) -> CheXNet:
    """The network, changed in place, with weights and normalisation statistics on the line to another one's.

    Between a network and what it became by training on, what was won and what was lost often change at different rates
    (Wortsman et al., CVPR 2022, arXiv 2109.01903).

    Args:
        network: one end of the line.
        other: state of the other end.
        share: of the other, 0 to 1.
    """
    state = network.state_dict()
    mixed = {name: torch.lerp(value, other[name].to(value), share) for name, value in state.items() if value.ndim}
    network.load_state_dict({**state, **mixed})
    return network


def parameter_groups(module: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Weights with decay; biases and normalisation parameters, whose scale carries meaning, without."""
    parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]
    return [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]


def one_cycle(optimizer: torch.optim.Optimizer, peak: float, steps: int) -> torch.optim.lr_scheduler.OneCycleLR:
    """The one-cycle schedule (Smith, arXiv 1803.09820): up to ``peak`` in a fifth of the steps, then down to nothing.

    Raises:
        DatasetError: fewer than three steps, in which nothing can rise and fall.
    """
    if steps < 3:
        raise DatasetError(
            f"training would take {steps} steps; at least 3 are needed: give more images, more epochs or a smaller "
            "--batch-size"
        )
    # torch divides by the lengths of rise and fall, each one step shorter than its number of steps.
    rise = max(0.2, 2 / steps)
    return torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=peak, total_steps=steps, pct_start=rise)


def positive_weights(targets: NDArray[np.float32], largest: float = 10.0) -> Tensor:
    """Negatives per positive of each output ``[K]``, capped so that a finding with a few cases can't rule the loss."""
    positives = targets.sum(axis=0)
    negatives = len(targets) - positives
    return torch.from_numpy(np.clip(negatives / np.maximum(positives, 1), 1 / largest, largest).astype(np.float32))
