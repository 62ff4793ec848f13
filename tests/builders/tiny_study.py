"""Lines of a reproduction's record without any network behind them."""

from __future__ import annotations

import numpy as np

from training.reproduce.record import PredictionRecord

IMAGES = 60


def prediction(cell: str, fold: int, logits: np.ndarray, **changes: object) -> PredictionRecord:
    """A line for the images whose number leaves ``fold`` when divided by three."""
    held_out = tuple(range(fold, IMAGES, 3))
    values: dict[str, object] = {
        "cell": cell,
        "repeat": 0,
        "split": str(fold),
        "scored": True,
        "trained_on": IMAGES - len(held_out),
        "held_out": held_out,
        "logits": tuple(float(logits[number]) for number in held_out),
        "source": "features",
        "config": {"preprocess": {"height": 224}},
        "setting": {"C": 0.001},
        "labels_sha256": "a" * 64,
        "versions": {"cxr_edge": "0.1.0", "torch": "2.6"},
    }
    return PredictionRecord(**{**values, **changes})  # type: ignore[arg-type]
