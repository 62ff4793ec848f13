from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from calibration.ranges import ChannelRange, Ranges, TappedModel
from cxr_edge.errors import CheckFailedError, UsageError
from export.int8 import Int8Options, read_network
from export.int8.exactness import check_exact, logits_of
from export.int8.graph import float_model
from export.int8.network import Convolution
from export.int8.rewrites import rewrite, rewrite_steps, scale_hidden, signed_grid

EVERYTHING = (
    Int8Options(layout="conv-inputs"),
    Int8Options(layout="conv-inputs", keep_float=()),
    Int8Options(layout="conv-inputs", damping=0.5),
    Int8Options(layout="all-int8", damping=0.0),
    Int8Options(layout="all-int8"),
    Int8Options(layout="all-int8", clamp=True),
)


@pytest.mark.parametrize("options", EVERYTHING, ids=str)
def test_every_rewrite_leaves_the_logits_alone(
    fp32: bytes, ranges: Ranges, batches: tuple[np.ndarray, ...], options: Int8Options
) -> None:
    found = check_exact(fp32, rewrite_steps(read_network(fp32), ranges, options), batches)
    assert len(found) >= 4
    assert max(part.logit for part in found.values()) < 2e-5
    assert max(part.cam for part in found.values()) < 1e-4


def test_rewrites_stay_exact_far_outside_the_ranges(fp32: bytes, ranges: Ranges) -> None:
    loud = (np.random.default_rng(5).normal(0, 4, (2, 1, 64, 64)).astype(np.float32),)
    expected = logits_of(fp32, loud)[0]
    found = logits_of(float_model(rewrite(read_network(fp32), ranges, EVERYTHING[4])).SerializeToString(), loud)[0]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_rewritten_inputs_span_the_whole_grid(fp32: bytes, ranges: Ranges, batches: tuple[np.ndarray, ...]) -> None:
    network = rewrite(read_network(fp32), ranges, Int8Options(layout="all-int8"))
    layer = network.blocks[0].layers[1]
    names = (f"{layer.rectifier.name}.relu", layer.hidden, layer.grow.name)
    model = TappedModel(float_model(network).SerializeToString(), names)
    values = [model.run(batch) for batch in batches]
    for name in names:
        whole = np.concatenate([value[name] for value in values])
        alive = ~ranges.of(name).dead
        assert alive.sum() > 20
        if name == layer.hidden:
            assert whole.min() == 0
        else:
            np.testing.assert_allclose(whole.min(axis=(0, 2, 3))[alive], -1, atol=1e-4)
        np.testing.assert_allclose(whole.max(axis=(0, 2, 3))[alive], 127 / 128, atol=1e-4)


def test_a_dead_channel_is_stored_as_its_constant_and_can_wake_up() -> None:
    grid = signed_grid(ChannelRange(np.array([0.7, 0.0, 0.0]), np.array([0.7, 2.0, 4.0])), 1.0)
    assert np.isfinite(grid.scale).all() and (grid.scale > 0).all()
    assert (0.7 - grid.shift[0]) / grid.scale[0] == pytest.approx(-1)
    assert grid.scale[0] == pytest.approx(np.median(grid.scale[1:]))


def test_a_tensor_that_is_dead_altogether_has_a_grid() -> None:
    grid = signed_grid(ChannelRange(np.zeros(3), np.zeros(3)), 0.5)
    np.testing.assert_array_equal(grid.scale, 1.0)


def test_damping_draws_the_scales_together() -> None:
    spans = ChannelRange(np.zeros(2), np.array([1.0, 100.0]))
    ratios = [float(np.divide(*signed_grid(spans, damping).scale)) for damping in (1.0, 0.5, 0.0)]
    assert ratios == pytest.approx([0.01, 0.1, 1.0])


def test_a_padded_convolution_refuses_a_shift_of_its_inputs() -> None:
    convolution = Convolution("conv2", np.ones((1, 2, 3, 3)), np.zeros(1), padding=1)
    with pytest.raises(ValueError, match="conv2 pads its input with zeros"):
        convolution.with_inputs(np.ones(2), np.ones(2))


def test_a_rewrite_that_is_not_exact_is_caught(fp32: bytes, ranges: Ranges, batches: tuple[np.ndarray, ...]) -> None:
    network = scale_hidden(read_network(fp32), ranges)
    wrong = replace(network, head=replace(network.head, bias=network.head.bias + 1e-3))
    with pytest.raises(CheckFailedError, match="'scaled' changes a logit by 1.00e-03"):
        check_exact(fp32, {"scaled": wrong}, batches)
    with pytest.raises(CheckFailedError, match="on no image"):
        check_exact(fp32, {"scaled": network}, ())


@pytest.mark.parametrize(
    "options", [{"layout": "concat"}, {"rounding": "up"}, {"damping": 1.1}, {"clamp": True, "layout": "conv-inputs"}]
)
def test_options_that_make_no_sense_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        Int8Options(**options)  # type: ignore[arg-type]
