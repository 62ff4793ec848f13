"""Fit one localiser; a run that was killed goes on at the same step with the same numbers."""

from __future__ import annotations

import copy
import io
import pickle
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from cxr_edge.atomic import write_atomically
from cxr_edge.errors import DatasetError
from cxr_edge.regions.cells import GRID
from training.dataset import EpochBatches, SampleKey
from training.fit import Progress, one_cycle, parameter_groups, record_epoch
from training.lungs.augment import augmented
from training.lungs.config import LungTrainingConfig
from training.lungs.examples import LungExamples
from training.lungs.loss import mask_loss
from training.lungs.network import LungNet

__all__ = ["LungFitting", "fit_lungs"]

SAVE_EVERY_S = 60.0
"""A killed run loses at most about this much work."""


class LungFitting:
    """A localiser being fitted: weights, their moving average, optimizer, schedule, and the place in the schedule.

    Args:
        network: initial weights; changed in place.
        config: how to train.
        examples: what to train on.

    Raises:
        DatasetError: images and epochs make fewer than three steps.
    """

    def __init__(self, network: LungNet, config: LungTrainingConfig, examples: LungExamples) -> None:
        self.config = config
        self.images = torch.from_numpy(examples.thumbnails)[:, None]
        self.shares = torch.from_numpy(examples.shares)[:, None]
        self.network: LungNet = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        average = get_ema_multi_avg_fn(config.averaging)  # type: ignore[no-untyped-call]
        self.averaged = AveragedModel(self.network, multi_avg_fn=average, use_buffers=True)
        groups = parameter_groups(self.network, config.weight_decay)
        self.optimizer = torch.optim.AdamW(groups, lr=config.learning_rate, fused=True)
        steps = config.epochs * len(self.epoch_batches(0))
        self.schedule = one_cycle(self.optimizer, config.learning_rate, steps)
        self.epoch = self.step = 0
        self.losses: list[float] = []

    def epoch_batches(self, epoch: int, start: int = 0) -> EpochBatches:
        """Which images come in which batch of an epoch, from batch ``start`` on."""
        return EpochBatches(
            len(self.images), self.config.batch_size, GRID, epoch=epoch, seed=self.config.seed, start=start
        )

    def batch(self, keys: list[SampleKey]) -> tuple[Tensor, Tensor]:
        """Augmented thumbnails and masks, ``[B, 1, 128, 128]`` each."""
        chosen = [key.index for key in keys]
        return augmented(self.images[chosen], self.shares[chosen], keys, self.config.augmentation, self.config.seed)

    def train_step(self, images: Tensor, shares: Tensor) -> float:
        """Mean loss of one batch, after one step of the optimizer.

        Raises:
            DatasetError: the loss is not finite.
        """
        self.network.train()
        loss = mask_loss(self.network(images.to(memory_format=torch.channels_last)), shares)
        value = float(loss.detach())
        if not np.isfinite(value):
            raise DatasetError(f"the loss became {value} in epoch {self.epoch + 1}; lower the learning rate")
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        # Past its last step the schedule would rise again.
        if self.schedule.last_epoch < self.schedule.total_steps - 1:
            self.schedule.step()
        self.averaged.update_parameters(self.network)
        return value

    @property
    def result(self) -> LungNet:
        """The averaged network in evaluation mode."""
        network = copy.deepcopy(self.averaged.module)
        assert isinstance(network, LungNet)
        return network.eval()

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
            "epoch": self.epoch,
            "step": self.step,
            "losses": self.losses,
        }
        buffer = io.BytesIO()
        torch.save(state, buffer)
        write_atomically(path, buffer.getvalue())

    def restore(self, path: Path) -> None:
        """Go back to where `save` was called.

        Raises:
            DatasetError: the file is no state of this network and configuration.
        """
        try:
            state: dict[str, Any] = torch.load(path, weights_only=True)
            self.network.load_state_dict(state["network"])
            self.averaged.load_state_dict(state["averaged"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.schedule.load_state_dict(state["schedule"])
            self.epoch, self.step, self.losses = state["epoch"], state["step"], state["losses"]
        except (KeyError, TypeError, RuntimeError, ValueError, EOFError, pickle.UnpicklingError) as error:
            reason = str(error).partition("\n")[0]
            raise DatasetError(
                f"{path} cannot be resumed from ({reason}); delete it to start this localiser again"
            ) from error


def fit_lungs(
    fitting: LungFitting,
    directory: Path,
    *,
    on_progress: Callable[[Progress], None],
    stop_requested: Callable[[], bool],
) -> None:
    """Train to the end of the schedule, resuming from ``directory/state.pt`` where there is one.

    Args:
        fitting: what to train; holds the result afterwards.
        directory: receives ``state.pt`` and ``history.jsonl``.
        on_progress: called after every step.
        stop_requested: asked between steps; when true the state is saved and KeyboardInterrupt raised.
    """
    state = directory / "state.pt"
    if state.exists():
        fitting.restore(state)
    saved = time.monotonic()
    while fitting.epoch < fitting.config.epochs:
        sampler = fitting.epoch_batches(fitting.epoch, fitting.step)
        for keys in sampler:
            loss = fitting.train_step(*fitting.batch(keys))
            fitting.losses.append(loss)
            fitting.step += 1
            on_progress(Progress(fitting.epoch, fitting.config.epochs, fitting.step, sampler.total, loss))
            if stop_requested():
                fitting.save(state)
                raise KeyboardInterrupt
            if time.monotonic() - saved > SAVE_EVERY_S:
                fitting.save(state)
                saved = time.monotonic()
        rate = float(fitting.schedule.get_last_lr()[0])
        figures = {"epoch": fitting.epoch + 1, "learning_rate": rate, "loss": float(np.mean(fitting.losses))}
        fitting.epoch, fitting.step, fitting.losses = fitting.epoch + 1, 0, []
        record_epoch(directory / "history.jsonl", figures)
    fitting.save(state)
