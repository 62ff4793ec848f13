"""The table of peers: which way, which stage, what it needs, and what prepares it."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module

from cxr_edge.bench.cell import CellRequest
from cxr_edge.bench.grid import TENSOR, Cell
from cxr_edge.bench.workload import Workload

__all__ = ["PEERS", "Peer", "peer_of"]

Preparer = Callable[[CellRequest], Workload]


@dataclass(frozen=True, slots=True)
class Peer:
    """One way to do one stage.

    Attributes:
        way: its name in records.
        stage: of `cxr_edge.bench.grid.STAGES`.
        input: kind of sample, or `TENSOR`.
        needs: modules that must be importable.
        module, function: what prepares it, as `Preparer`; in this folder.
        engine, precision: what computes the network; None where there is none.
        single_threaded: it has no threads to set.
    """

    way: str
    stage: str
    input: str
    needs: tuple[str, ...]
    module: str
    function: str
    engine: str | None = None
    precision: str | None = None
    single_threaded: bool = False

    def missing(self) -> tuple[str, ...]:
        """The modules that it needs and that are not installed."""
        return tuple(name for name in self.needs if importlib.util.find_spec(name) is None)

    def cell(self, threads: int, frame: str | None) -> Cell:
        """Its cell: the key of its figures in a record."""
        count = 1 if self.single_threaded else threads
        shown = None if self.input == TENSOR else frame
        return Cell(self.stage, self.engine, self.precision, count, self.input, shown, way=self.way)

    def preparer(self) -> Preparer:
        """What prepares it; its packages are imported only then."""
        preparer: Preparer = getattr(import_module(f"benchmarks.peers.{self.module}"), self.function)
        return preparer


PEERS: tuple[Peer, ...] = (
    Peer("plain copy", "preprocess", "frame", (), "resizers", "plain_copy", single_threaded=True),
    Peer("OpenCV INTER_AREA", "preprocess", "frame", ("cv2",), "resizers", "opencv_area"),
    Peer("torch antialias", "preprocess", "frame", ("torch",), "resizers", "torch_antialias"),
    Peer("Pillow BOX", "preprocess", "frame", (), "resizers", "pillow_box", single_threaded=True),
    Peer("Pillow reduce, BOX", "preprocess", "frame", (), "resizers", "pillow_reduce", single_threaded=True),
    Peer("scikit-image", "preprocess", "frame", ("skimage",), "resizers", "scikit_image", single_threaded=True),
    Peer("Pillow", "decode", "png", (), "decoders", "pillow_file", single_threaded=True),
    Peer("OpenCV", "decode", "png", ("cv2",), "decoders", "opencv_file", single_threaded=True),
    Peer("Pillow", "decode", "jpeg", (), "decoders", "pillow_file", single_threaded=True),
    Peer("OpenCV", "decode", "jpeg", ("cv2",), "decoders", "opencv_file", single_threaded=True),
    Peer("pydicom", "decode", "dicom", (), "decoders", "pydicom_pixels", single_threaded=True),
    Peer(
        "pydicom, Pillow full decode",
        "decode",
        "dicom-jpeg2000",
        (),
        "decoders",
        "pydicom_jpeg2000",
        single_threaded=True,
    ),
    Peer("plain script", "infer", TENSOR, ("torch",), "networks", "pytorch_eager", "PyTorch eager", "fp32"),
    Peer("plain script", "infer", TENSOR, ("torch",), "networks", "pytorch_compiled", "PyTorch compiled", "fp32"),
    Peer("plain script", "infer", TENSOR, ("onnxruntime",), "networks", "onnxruntime_plain", "ONNX Runtime", "fp32"),
    Peer("plain script", "infer", TENSOR, ("openvino",), "networks", "openvino_plain", "OpenVINO", "fp32"),
    Peer("NNCF's own INT8", "infer", TENSOR, ("openvino", "nncf"), "networks", "openvino_nncf", "OpenVINO", "int8"),
    Peer(
        "torchxrayvision style",
        "end-to-end",
        "frame",
        ("torch", "skimage"),
        "pipelines",
        "torchxrayvision_style",
        "PyTorch eager",
        "fp32",
    ),
    Peer(
        "MONAI transforms",
        "end-to-end",
        "frame",
        ("torch", "monai"),
        "pipelines",
        "monai_transforms",
        "PyTorch eager",
        "fp32",
    ),
    Peer(
        "OpenCV and a plain script",
        "end-to-end",
        "frame",
        ("cv2", "onnxruntime"),
        "pipelines",
        "opencv_onnxruntime",
        "ONNX Runtime",
        "fp32",
    ),
    Peer(
        "OpenCV and NNCF's own INT8",
        "end-to-end",
        "frame",
        ("cv2", "openvino", "nncf"),
        "pipelines",
        "opencv_openvino_nncf",
        "OpenVINO",
        "int8",
    ),
    Peer(
        "torchxrayvision style",
        "one-shot",
        "dicom",
        ("torch", "skimage"),
        "pipelines",
        "torchxrayvision_one_shot",
        "PyTorch eager",
        "fp32",
    ),
)


def peer_of(cell: Cell) -> Peer:
    """The peer that a cell names.

    Raises:
        LookupError: there is none; the table and the record's cells are made from each other.
    """
    for peer in PEERS:
        if (peer.way, peer.stage, peer.input, peer.engine) == (cell.way, cell.stage, cell.input, cell.engine):
            return peer
    raise LookupError(f"no peer for {cell}")
