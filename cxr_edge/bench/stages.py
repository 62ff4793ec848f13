"""The work of each stage, prepared from the public pieces that users call."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from cxr_edge.bench.cell import CellRequest
from cxr_edge.bench.fresh_process import prepare_import, prepare_one_shot
from cxr_edge.bench.sample_bytes import FRAME, FRAME_BITS
from cxr_edge.bench.workload import Repetition, Workload, timed
from cxr_edge.bundle import Bundle, open_bundle
from cxr_edge.engines import Engine, EngineDescription, open_engine
from cxr_edge.errors import CxrEdgeError, UsageError
from cxr_edge.records import Frame, Radiograph

__all__ = ["prepare"]

FOLDER_FILES = 8
"""Files of one repetition of ``folder``; one of them does not overlap with anything."""

SEED = 0
CPU = "cpu"


def prepare(request: CellRequest) -> Workload:
    """The work of the request's cell, ready to be repeated.

    Raises:
        CxrEdgeError: the bundle, the engine or the sample cannot be used.
    """
    return PREPARERS[request.cell.stage](request)


def _decode(request: CellRequest) -> Workload:
    from cxr_edge.decode import decode

    path = _sample(request)
    return Workload(timed(lambda: decode(path)))


def _preprocess(request: CellRequest) -> Workload:
    from cxr_edge.preprocess import implementation
    from cxr_edge.regions import network_input

    bundle = open_bundle(request.bundle)
    spec, localiser = bundle.manifest.preprocess, bundle.open_localiser()
    radiograph = _radiograph(request)
    image = np.empty((spec.height, spec.width), np.float32)
    threads = request.cell.threads
    call = timed(lambda: network_input(radiograph, spec, localiser, threads=threads, out=image))
    return Workload(call, computed_by=implementation())


def _infer(request: CellRequest) -> Workload:
    bundle = open_bundle(request.bundle)
    engine, load_ms = _loaded(bundle, request)
    spec = bundle.manifest.preprocess
    shape = (request.cell.batch, 1, spec.height, spec.width)
    images = np.random.default_rng(SEED).uniform(-1, 1, shape).astype(np.float32)
    return Workload(
        timed(lambda: engine.infer(images)),
        images=request.cell.batch,
        load_ms=load_ms,
        model_bytes=_model_bytes(bundle, request),
        computed_by=_described(engine.describe()),
        on_gpu=engine.describe().device != CPU,
        close=engine.close,
    )


def _end_to_end(request: CellRequest) -> Workload:
    from cxr_edge.classifier import Classifier

    bundle = open_bundle(request.bundle)
    engine, load_ms = _loaded(bundle, request)
    classifier = Classifier(bundle, engine)
    source = _raw_frame(request) if request.cell.input == FRAME else _sample(request)

    def run() -> Repetition:
        started = time.perf_counter_ns()
        result = classifier.classify(source)
        elapsed = (time.perf_counter_ns() - started) / 1e6
        if result.status != "ok":
            raise UsageError(f"the input gate refuses the sample ({result.gate}): measure with a usable chest X-ray")
        stages = {name: ms for name, ms in result.timings.to_json().items() if ms is not None and name != "total"}
        return Repetition(elapsed, stages)

    return Workload(
        run,
        load_ms=load_ms,
        model_bytes=_model_bytes(bundle, request),
        computed_by=_described(engine.describe()),
        on_gpu=engine.describe().device != CPU,
        close=classifier.close,
    )


def _folder(request: CellRequest) -> Workload:
    from cxr_edge.classifier import Classifier

    bundle = open_bundle(request.bundle)
    engine, load_ms = _loaded(bundle, request)
    classifier = Classifier(bundle, engine)
    paths = [_sample(request)] * FOLDER_FILES

    def run() -> Repetition:
        started = time.perf_counter_ns()
        for result in classifier.classify_many(paths):
            if result.failure is not None:
                raise CxrEdgeError(f"a file of the folder failed: {result.failure.message}")
        return Repetition((time.perf_counter_ns() - started) / 1e6)

    return Workload(
        run,
        images=FOLDER_FILES,
        load_ms=load_ms,
        model_bytes=_model_bytes(bundle, request),
        computed_by=_described(engine.describe()),
        on_gpu=engine.describe().device != CPU,
        close=classifier.close,
    )


PREPARERS: dict[str, Callable[[CellRequest], Workload]] = {
    "import": prepare_import,
    "one-shot": prepare_one_shot,
    "decode": _decode,
    "preprocess": _preprocess,
    "infer": _infer,
    "end-to-end": _end_to_end,
    "folder": _folder,
}


def _loaded(bundle: Bundle, request: CellRequest) -> tuple[Engine, float]:
    """The cell's engine, and how long it took until the next inference runs like all later ones, ms."""
    cell = request.cell
    if cell.engine is None:
        raise UsageError(f"cell '{cell}' names no engine")
    started = time.perf_counter()
    engine = open_engine(bundle, engine=cell.engine, precision=cell.precision, threads=cell.threads)
    engine.warm_up()
    return engine, (time.perf_counter() - started) * 1000


def _sample(request: CellRequest) -> str:
    if request.sample is None:
        raise UsageError(f"cell '{request.cell}' has no input")
    return request.sample


def _raw_frame(request: CellRequest) -> tuple[np.ndarray, Frame]:
    pixels = np.load(_sample(request), allow_pickle=False)
    return pixels, Frame(bits_stored=min(FRAME_BITS, 8 * pixels.dtype.itemsize))


def _radiograph(request: CellRequest) -> Radiograph:
    """The cell's frame as preprocessing gets it."""
    from cxr_edge.decode import decode

    path = _sample(request)
    return Radiograph.from_frame(*_raw_frame(request)) if path.endswith(".npy") else decode(path)


def _model_bytes(bundle: Bundle, request: CellRequest) -> int:
    model = bundle.manifest.models[request.cell.precision or ""]
    return bundle.manifest.files[model.file].size


def _described(engine: EngineDescription) -> str:
    return f"{engine.name} {engine.runtime_version}, {engine.computed_as}, on {engine.device}"
