"""Which cells a bench measures: the grid's axes, without the combinations that would measure the same thing twice."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any

from cxr_edge.bench.sample_bytes import FRAME
from cxr_edge.bench.samples import Sample
from cxr_edge.errors import UsageError

__all__ = ["OWN", "STAGES", "TENSOR", "Cell", "Grid"]

OWN = "cxr-edge"
"""The way of this library; peers have names of their own in the same records."""

TENSOR = "tensor"
"""Input of the stage ``infer``: preprocessed images in memory."""

STAGES = ("import", "one-shot", "decode", "preprocess", "infer", "end-to-end", "folder")
"""What can be timed.

``import``: ``import cxr_edge`` in a fresh process. ``one-shot``: a whole ``cxr-edge classify FILE`` from process start
to exit. ``decode``: file to stored pixels. ``preprocess``: stored pixels to network input. ``infer``: the network.
``end-to-end``: file or frame to decision in a warm process. ``folder``: several files with decoding overlapped; its
times are of all of them, its throughput tells the images.
"""


@dataclass(frozen=True, slots=True)
class Cell:
    """One combination that is measured in a process of its own; equal cells of two records are compared.

    Attributes:
        stage: one of `STAGES`.
        engine, precision: what computes; None for stages that run no network.
        threads: CPU threads of one call.
        input: kind of sample, `TENSOR`, or None for ``import``.
        frame: ``"rowsxcolumnsxbits"`` of the sample, or None.
        batch: images of one inference.
        streams: threads that call at the same time, sharing one engine.
        way: whose code: `OWN`, or a peer's name.
    """

    stage: str
    engine: str | None
    precision: str | None
    threads: int
    input: str | None
    frame: str | None
    batch: int = 1
    streams: int = 1
    way: str = OWN

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready mapping that `from_json` reads back."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Cell:
        """The cell in a record's line, whose other keys are left alone.

        Raises:
            KeyError: a field is missing.
        """
        return cls(**{field.name: value[field.name] for field in fields(cls)})

    def __str__(self) -> str:
        model = f"{self.engine} {self.precision}" if self.engine else ""
        parts = (
            "" if self.way == OWN else self.way,
            self.stage,
            model,
            self.input if self.input != TENSOR else "",
            f"{self.threads} thread{'s' * (self.threads != 1)}" if self.stage != "import" else "",
            f"batch {self.batch}" if self.batch != 1 else "",
            f"{self.streams} streams" if self.streams != 1 else "",
        )
        return ", ".join(part for part in parts if part)


@dataclass(frozen=True, slots=True)
class Grid:
    """The axes; `cells` is their product without what an axis does not change.

    Attributes:
        models: ``(engine, precision)`` that can run here.
        threads: CPU threads of one call.
        batches: images of one inference, for ``infer``.
        streams: simultaneous callers, for ``infer`` and ``end-to-end``.
        samples: inputs.
        stages: of `STAGES`.

    Raises:
        UsageError: an unknown stage, or a count below 1.
    """

    models: tuple[tuple[str, str], ...]
    threads: tuple[int, ...]
    batches: tuple[int, ...]
    streams: tuple[int, ...]
    samples: tuple[Sample, ...]
    stages: tuple[str, ...]

    def __post_init__(self) -> None:
        for stage in self.stages:
            if stage not in STAGES:
                raise UsageError(f"stage {stage!r} is unknown; known are {', '.join(STAGES)}")
        for name in ("threads", "batches", "streams"):
            if any(count < 1 for count in getattr(self, name)):
                raise UsageError(f"{name} {getattr(self, name)}: every number must be at least 1")

    def cells(self) -> tuple[Cell, ...]:
        """Every cell once, stage by stage in the order of a picture's way."""
        cells: dict[Cell, None] = {}
        for stage in STAGES:
            if stage in self.stages:
                cells.update(dict.fromkeys(self._cells_of(stage)))
        return tuple(cells)

    def _cells_of(self, stage: str) -> list[Cell]:
        if stage == "import":
            return [Cell("import", None, None, 1, None, None)]
        if stage == "decode":  # a codec uses one thread
            return [Cell("decode", None, None, 1, s.input, s.frame) for s in self.samples if s.input != FRAME]
        if stage == "preprocess":
            return [
                Cell("preprocess", None, None, threads, s.input, s.frame)
                for s in distinct_frames(self.samples)
                for threads in self.threads
            ]
        if stage == "infer":
            return [
                Cell("infer", engine, precision, threads, TENSOR, None, batch, streams)
                for engine, precision in self.models
                for threads in self.threads
                for batch in self.batches
                for streams in self.streams
            ]
        return self._cells_with_model_and_sample(stage)

    def _cells_with_model_and_sample(self, stage: str) -> list[Cell]:
        several = stage == "end-to-end"
        return [
            Cell(stage, engine, precision, threads, s.input, s.frame, 1, streams)
            for s in self.samples
            if s.input != FRAME or stage == "end-to-end"
            for engine, precision in self.models
            for threads in self.threads
            for streams in (self.streams if several else (1,))
        ]


def distinct_frames(samples: tuple[Sample, ...]) -> tuple[Sample, ...]:
    """One sample for each frame that preprocessing would see: files of one phantom differ in their coding alone."""
    chosen: dict[str, Sample] = {}
    for sample in sorted(samples, key=lambda sample: sample.input != FRAME):
        chosen.setdefault(sample.input if sample.input.startswith("file-") else sample.frame, sample)
    return tuple(chosen.values())
