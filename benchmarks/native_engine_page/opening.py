"""``python -m benchmarks.native_engine_page.opening BUNDLE THREADS OPENINGS INFERENCES``: a Python program's costs."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np

from benchmarks.native_engine_page.record import Opening
from cxr_edge.bench.memory import memory_of_this_process
from cxr_edge.bundle import open_bundle
from cxr_edge.engines import open_engine
from cxr_edge.engines.base import Array, Engine

__all__ = ["opening"]

SEED = 0


def opening(path: Path, threads: int, openings: int, inferences: int) -> Opening:
    """Open the engine again and again; infer once after each, and often after the last.

    Raises:
        CxrEdgeError: the bundle or the engine cannot be opened.
    """
    bundle = open_bundle(path)
    spec = bundle.manifest.preprocess
    image = np.random.default_rng(SEED).uniform(-1, 1, (1, 1, spec.height, spec.width)).astype(np.float32)
    open_ms, first_ms, inference_ms = [], [], []
    for number in range(openings):
        began = time.perf_counter()
        with open_engine(bundle, engine="native", precision="int8", threads=threads) as engine:
            open_ms.append((time.perf_counter() - began) * 1000)
            first_ms.append(inferred_ms(engine, image))
            if number == openings - 1:
                inference_ms = [inferred_ms(engine, image) for _ in range(inferences)]
                rss = memory_of_this_process().rss_mb
    return Opening("Python", threads, tuple(open_ms), tuple(first_ms), tuple(inference_ms), rss)


def inferred_ms(engine: Engine, image: Array) -> float:
    """How long one inference takes, milliseconds."""
    began = time.perf_counter()
    engine.infer(image)
    return (time.perf_counter() - began) * 1000


if __name__ == "__main__":
    path, *counts = sys.argv[1:]
    print(json.dumps(asdict(opening(Path(path), *map(int, counts)))))
