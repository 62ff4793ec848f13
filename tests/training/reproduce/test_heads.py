from __future__ import annotations

import numpy as np
import pytest
import torch
from tiny_run import SPEC, tiny_network

from cxr_edge.errors import DatasetError
from training.checkpoints import load_checkpoint, save_checkpoint
from training.reproduce.heads import STRENGTHS, fitted_head
from training.reproduce.hidden_head import HIDDEN_UNITS, with_hidden_head

LABELS = np.arange(40) % 2
PATIENTS = [str(number) for number in range(40)]


def features(direction: int = 0) -> np.ndarray:
    random = np.random.default_rng(3)
    found = random.normal(size=(40, 12)).astype(np.float32)
    found[:, direction] += 4 * LABELS
    return found


@pytest.mark.parametrize("head", ["linear", "hidden"])
def test_a_head_learns_what_the_features_tell(head: str) -> None:
    found = fitted_head(head, features(), LABELS, PATIENTS, features(), seed=1)  # type: ignore[arg-type]
    assert np.mean((found.logits >= 0) == LABELS) > 0.9
    assert set(found.setting.values()) <= set(STRENGTHS[head][1])  # type: ignore[index]


def test_held_out_images_decide_nothing_about_each_other() -> None:
    both = fitted_head("linear", features(), LABELS, PATIENTS, features(1), seed=1)
    alone = fitted_head("linear", features(), LABELS, PATIENTS, features(1)[:3], seed=1)
    np.testing.assert_allclose(alone.logits, both.logits[:3], atol=1e-5)


def test_features_of_any_scale_give_finite_logits() -> None:
    found = fitted_head("hidden", features() * 1e4, LABELS, PATIENTS, features() * 1e9, seed=1)
    assert np.isfinite(found.logits).all()


def test_too_few_images_of_a_class_are_refused() -> None:
    with pytest.raises(DatasetError, match="the rarer class has 3 training images"):
        fitted_head("linear", features(), (np.arange(40) < 3).astype(np.int64), PATIENTS, features(), seed=1)


def test_a_hidden_head_is_one_rectified_layer_on_pooled_features() -> None:
    network = with_hidden_head(tiny_network(), seed=4)
    image = torch.randn(2, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    network.eval()
    with torch.inference_mode():
        logit, cam = network(image)
        pooled = torch.relu(network.features(image)).mean(dim=(2, 3))
        head = network.head
        expected = head.output(torch.relu(head.hidden(pooled)))  # type: ignore[operator]
    torch.testing.assert_close(logit, expected)
    assert cam.shape == (2, 1, 1, 1)
    assert head.hidden.out_features == HIDDEN_UNITS  # type: ignore[union-attr]


def test_a_network_with_a_hidden_head_cannot_reach_export(tmp_path) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "hidden.pt"
    save_checkpoint(path, with_hidden_head(tiny_network(), seed=4), labels=("abnormal",), preprocess=SPEC)
    with pytest.raises(DatasetError, match="hidden layer.*no exact heatmap.*cannot be exported"):
        load_checkpoint(path)
    with pytest.raises(DatasetError, match="hidden layer"):
        load_checkpoint(path, outputs=1, new_head=True)
