"""The only place that joins the stages: bytes, radiograph, gate, preprocessing, engine, probability, decision."""

from __future__ import annotations

import hashlib
import os
import time
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cxr_edge import gate
from cxr_edge.bundle import Bundle, Manifest, open_bundle
from cxr_edge.data_use import DataUse
from cxr_edge.decode import DEFAULT_LIMITS, DecodeLimits, decode, read_source
from cxr_edge.engines import Engine, EngineOutput, available_threads, open_engine
from cxr_edge.errors import RefusedInputError, UsageError
from cxr_edge.evidence_share import share_on_lungs
from cxr_edge.probability import OperatingPoint, calibrated_probability
from cxr_edge.records import Frame, Radiograph
from cxr_edge.regions import Localiser, Region, locate, region_input
from cxr_edge.result import BundleIdentity, Evidence, Failure, Result, Timings

__all__ = ["Classifier", "Source"]

Source = str | os.PathLike[str] | bytes | Radiograph | tuple[NDArray[Any], Frame]
"""What can be classified: a path, a file's bytes, a decoded radiograph, or a raw frame with its description."""


class Classifier:
    """Classifies chest X-rays with one bundle on one engine.

    Thread-safety: one classifier may be used by several threads at once and gives each the same bits as alone.

    Args:
        bundle: a verified bundle.
        engine: an open engine with one of the bundle's models; closed with the classifier.
        operating_point: what decides; None means the bundle's default.
        gated: whether images that the input gate finds unusable are refused. Without the gate every result says so.
            Where the network must see lungs, an image without them is refused all the same.
        limits: what decoding one input may cost.
        localiser: finds the lungs where the bundle's network must see them, and stays its owner's to close; None means
            the bundle's own, closed with the classifier.

    Raises:
        BundleError: the bundle's localiser cannot be opened.

    Use `Classifier.open` unless you have an engine of your own.
    """

    def __init__(
        self,
        bundle: Bundle,
        engine: Engine,
        *,
        operating_point: OperatingPoint | None = None,
        gated: bool = True,
        limits: DecodeLimits = DEFAULT_LIMITS,
        localiser: Localiser | None = None,
    ) -> None:
        self.bundle = bundle
        self.engine = engine
        self.operating_point = operating_point or bundle.manifest.operating_point()
        self.gated = gated
        self.limits = limits
        # One that was handed in is its owner's to close, as it may serve other classifiers.
        self._own_localiser = bundle.open_localiser() if localiser is None else None
        self._localiser = localiser or self._own_localiser
        manifest = bundle.manifest
        self._gate_spec = gate.GateSpec.from_json(dict(manifest.gate))
        self._blank = Result(
            status="error",
            bundle=BundleIdentity(manifest.name, manifest.version, bundle.sha256),
            released=manifest.released,
            operating_point=self.operating_point.name,
            threshold=self.operating_point.logit_threshold,
            engine=engine.describe(),
            variant=manifest.preprocess.variant,
        )

    @classmethod
    def open(
        cls,
        bundle: str | os.PathLike[str] | None = None,
        *,
        engine: str = "auto",
        precision: str | None = None,
        device: str | None = None,
        threads: int | None = None,
        operating_point: str | None = None,
        gated: bool = True,
        limits: DecodeLimits = DEFAULT_LIMITS,
    ) -> Classifier:
        """A classifier that has verified its bundle and warmed its engine up.

        The first compressed image (PNG, JPEG, compressed DICOM) still starts the process that decodes such, a few
        tenths of a second; those who only read uncompressed DICOM never pay for it.

        Args:
            bundle: a bundle's directory; None means the one that ships with the package.
            engine: an engine's name, or ``"auto"`` for the first that is installed and fits.
            precision: ``"fp32"`` and so on; None means the bundle's default for the device.
            device: ``"cpu"`` or what the engine offers; None means its default.
            threads: of the engine and of preprocessing; None means every core that this process may use.
            operating_point: name of the operating point that decides; None means the bundle's default.
            gated: whether the input gate may refuse images.
            limits: what decoding one input may cost.

        Raises:
            BundleError: the bundle is missing, damaged or of a newer schema.
            EngineError: the engine is not installed, failed, or doesn't fit the bundle.
            UsageError: an unknown engine, precision, operating point or thread count.
        """
        opened = open_bundle(bundle)
        point = opened.manifest.operating_point(operating_point)
        check_sections(opened.manifest)
        running = open_engine(opened, engine=engine, precision=precision, device=device, threads=threads)
        try:
            running.warm_up()
            return cls(opened, running, operating_point=point, gated=gated, limits=limits)
        except BaseException:
            running.close()
            raise

    def classify(self, source: Source, *, frame: int | None = None, hash_input: bool = False) -> Result:
        """Probability, decision and evidence for one image; status ``"refused"`` where the gate refuses it.

        Args:
            source: a path, a file's bytes, a `Radiograph`, or ``(pixels, Frame)``.
            frame: number of the frame within a multi-frame file, from 0.
            hash_input: put the SHA-256 of the file's bytes into the result; off by default because it takes
                milliseconds on large files.

        Raises:
            CorruptInputError, UnsupportedInputError, ResourceLimitError: the input can't be decoded.
            EngineError: the engine failed, or its output was not finite.
        """
        started = time.perf_counter()
        return self._decide(self._decoded(source, frame, hash_input), started)

    def classify_many(
        self, sources: Iterable[Source], *, frame: int | None = None, hash_input: bool = False, ahead: int = 2
    ) -> Iterator[Result]:
        """One result per source in order; an input that fails has status ``"error"`` and never stops the others.

        Args:
            sources: as for `classify`; consumed lazily.
            frame: as for `classify`.
            hash_input: as for `classify`.
            ahead: how many inputs beyond the next result's own are taken from ``sources``. So many threads, but no more
                than there are cores, decode them while the caller's classifies; compressed images are decoded in as
                many processes. Those that are done wait with their pixels in memory.

        Raises:
            UsageError: ``sources`` is a single path or the bytes of a file.
        """
        if isinstance(sources, str | bytes | os.PathLike):
            raise UsageError(f"classify_many takes several inputs: put the {type(sources).__name__} into a list")
        return self._results(sources, frame, hash_input, ahead)

    def _results(self, sources: Iterable[Source], frame: int | None, hash_input: bool, ahead: int) -> Iterator[Result]:
        workers = max(1, min(ahead, available_threads()))
        pool = ThreadPoolExecutor(max_workers=workers, thread_name_prefix="cxr-edge-decode")
        waiting: deque[Future[Result | _Decoded]] = deque()
        try:
            for source in sources:
                waiting.append(pool.submit(self._decoded_or_failed, source, frame, hash_input))
                if len(waiting) > ahead:
                    yield self._decided_or_failed(waiting.popleft().result())
            while waiting:
                yield self._decided_or_failed(waiting.popleft().result())
        finally:
            pool.shutdown(cancel_futures=True)  # a caller who leaves early does not wait for what nobody asks for

    def close(self) -> None:
        """Release the engine and the bundle's localiser; a closed classifier cannot be used again.

        A localiser that was handed in stays open.
        """
        try:
            self.engine.close()
        finally:
            if self._own_localiser is not None:
                self._own_localiser.close()

    def __enter__(self) -> Classifier:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _decoded(self, source: object, frame: int | None, hash_input: bool) -> _Decoded:
        """The source's radiograph, with what its result will say of the source.

        Raises:
            UsageError: something that can't be classified: a `Source` is promised, but whatever comes is checked here.
        """
        started = time.perf_counter()
        blank = replace(self._blank, path=named(source), frame=frame)
        if isinstance(source, Radiograph):
            radiograph = source
        elif isinstance(source, tuple) and len(source) == 2:
            radiograph = Radiograph.from_frame(*source)
        elif not isinstance(source, str | bytes | os.PathLike):
            kind = type(source).__name__
            raise UsageError(f"cannot classify a {kind}; give a path, a file's bytes, a Radiograph or (pixels, Frame)")
        else:
            data: Any = source
            if hash_input:
                # Hash the very bytes that are decoded: a second read could see another file.
                data = read_source(source, self.limits)
                blank = replace(blank, input_sha256=hashlib.sha256(data).hexdigest())
            radiograph = decode(data, frame=frame, limits=self.limits)
        return _Decoded(radiograph, blank, milliseconds(started))

    def _decoded_or_failed(self, source: Source, frame: int | None, hash_input: bool) -> _Decoded | Result:
        try:
            return self._decoded(source, frame, hash_input)
        except Exception as error:  # whatever one input meets, a bug of ours included, must not cost the others
            return replace(self._blank, path=named(source), frame=frame, failure=Failure.of(error))

    def _decided_or_failed(self, decoded: _Decoded | Result) -> Result:
        if isinstance(decoded, Result):
            return decoded
        started = time.perf_counter() - decoded.decode_ms / 1000
        try:
            return self._decide(decoded, started)
        except Exception as error:  # as above
            return replace(decoded.blank, failure=Failure.of(error))

    def _decide(self, decoded: _Decoded, started: float) -> Result:
        """The result for a decoded radiograph; ``started`` is the `time.perf_counter` at which its way began."""
        radiograph = decoded.radiograph
        clock = time.perf_counter()
        report = gate.check(radiograph, self._gate_spec) if self.gated else None
        gate_ms = milliseconds(clock) if self.gated else None
        result = replace(
            decoded.blank,
            gate=report,
            window=radiograph.window,
            window_rule=radiograph.window_rule,
            warnings=radiograph.warnings,
        )
        if report is not None and not report.passed:
            timings = Timings(decode=decoded.decode_ms, gate=gate_ms, total=milliseconds(started))
            return replace(result, status="refused", timings=timings)
        if report is None:
            result = replace(result, warnings=(*result.warnings, "the input gate was switched off"))

        clock = time.perf_counter()
        try:
            region = locate(
                radiograph, self.bundle.manifest.preprocess, self._localiser, threads=self.engine.options.threads
            )
        except RefusedInputError as error:
            timings = Timings(decode=decoded.decode_ms, gate=gate_ms, localise=milliseconds(clock))
            timings = replace(timings, total=milliseconds(started))
            return replace(result, status="refused", gate=without_lungs(error), lungs_found=False, timings=timings)
        localise_ms = None if region.variant == "full" else milliseconds(clock)
        output, preprocess_ms, infer_ms = self._inferred(radiograph, region)

        logit = float(output.logit[0, 0])
        evidence = Evidence(radiograph, output.cam[0, 0], region.box)
        return replace(
            result,
            status="ok",
            logit=logit,
            probability=calibrated_probability(logit, self.bundle.manifest.temperature),
            label=self.operating_point.label(logit),
            variant=region.variant,
            lungs_found=region.lungs_found,
            evidence_on_lungs=self._evidence_on_lungs(evidence, region),
            box=None if region.variant == "full" else region.box,
            warnings=(*result.warnings, *region.warnings),
            evidence=evidence,
            timings=Timings(
                decode=decoded.decode_ms,
                gate=gate_ms,
                localise=localise_ms,
                preprocess=preprocess_ms,
                infer=infer_ms,
                total=milliseconds(started),
            ),
        )

    def _evidence_on_lungs(self, evidence: Evidence, region: Region) -> float | None:
        """Share of the evidence for the decision that lies on the lungs; None where there are none to lie on."""
        if region.lungs is None:
            return None
        return share_on_lungs(evidence.heatmap(self.operating_point.logit_threshold), region.lungs)

    def _inferred(self, radiograph: Radiograph, region: Region) -> tuple[EngineOutput, float | None, float]:
        """What the network makes of a part of a radiograph, with the times of preprocessing and inference, ms.

        An engine that preprocesses by itself is given the frame where the network is shown all of it as it is. It then
        does both in one step, whose time is inference's.
        """
        clock = time.perf_counter()
        spec = self.bundle.manifest.preprocess
        if spec.is_plain and self.engine.preprocesses():
            return self.engine.infer_radiograph(radiograph), None, milliseconds(clock)
        image = np.empty((1, 1, spec.height, spec.width), np.float32)
        region_input(radiograph, spec, region, threads=self.engine.options.threads, out=image[0, 0])
        preprocess_ms = milliseconds(clock)
        clock = time.perf_counter()
        return self.engine.infer(image), preprocess_ms, milliseconds(clock)


@dataclass(frozen=True, slots=True)
class _Decoded:
    """A radiograph on its way, with the result it will fill in and the time that decoding took, ms."""

    radiograph: Radiograph
    blank: Result
    decode_ms: float


def check_sections(manifest: Manifest) -> None:
    """Read the sections that opening a bundle leaves to others, before an engine is loaded for nothing.

    Raises:
        BundleError: the gate or the data-use section cannot be read by this version.
    """
    gate.GateSpec.from_json(dict(manifest.gate))
    DataUse.from_json(dict(manifest.data_use))


def without_lungs(error: RefusedInputError) -> gate.GateReport:
    """The refusal of an image in which no lungs were found, as the gate puts its own."""
    return gate.GateReport((gate.GateReason("no lungs found", 0.0, 1.0, str(error)),))


def named(source: object) -> str | None:
    """How a source is named in its result; None for what has no name, of whatever kind it is."""
    return str(Path(os.fsdecode(source))) if isinstance(source, str | os.PathLike) else None


def milliseconds(since: float) -> float:
    """Milliseconds since a `time.perf_counter` reading."""
    return (time.perf_counter() - since) * 1000.0
