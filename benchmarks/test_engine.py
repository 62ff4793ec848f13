"""One inference of the shipped network on each engine, beside PyTorch on the same architecture, same threads.

Run with ``pytest benchmarks/test_engine.py --benchmark-enable``. Thread pools that wait by spinning disturb each other:
for figures to quote, time each engine in a process of its own with ``-k``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from cxr_edge.bundle import open_bundle
from cxr_edge.engines import ENGINES, open_engine
from cxr_edge.preprocess import preprocess

THREADS = 1
GROUP = "inference 1x1x224x224, 1 thread"

MODELS = [
    (row.name, precision)
    for row in ENGINES
    if row.is_installed()
    for precision, model in open_bundle().manifest.models.items()
    if row.name in model.engines
]


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    """The golden input, ``[1, 1, 224, 224]``."""
    bundle = open_bundle()
    return preprocess(bundle.golden_radiograph(), bundle.manifest.preprocess)[None, None]


@pytest.mark.parametrize(("engine", "precision"), MODELS)
@pytest.mark.benchmark(group=GROUP)
def test_engine(benchmark: Any, image: np.ndarray, engine: str, precision: str) -> None:
    with open_engine(open_bundle(), engine=engine, precision=precision, threads=THREADS) as opened:
        opened.warm_up()
        output = benchmark(opened.infer, image)
    assert output.logit.shape == (1, 1)


@pytest.mark.benchmark(group=GROUP)
def test_pytorch_eager(benchmark: Any, image: np.ndarray) -> None:
    torch = pytest.importorskip("torch")
    model = pytest.importorskip("training.model")
    # The weights don't matter to the time; the layers are those of the shipped network.
    network = model.CheXNet().eval().to(memory_format=torch.channels_last)
    tensor = torch.from_numpy(image)
    before = torch.get_num_threads()
    torch.set_num_threads(THREADS)
    try:
        with torch.inference_mode():
            network(tensor)
            logit, _ = benchmark(network, tensor)
    finally:
        torch.set_num_threads(before)
    assert tuple(logit.shape) == (1, 1)
