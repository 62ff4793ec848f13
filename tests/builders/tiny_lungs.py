"""Lungs made for tests: drawn pairs, a model that takes dark for lung, and labelled phantoms with masks."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from cxr_edge.lungs import INPUT, OUTPUT
from cxr_edge.phantom import PhantomSpec, lung_mask, phantom
from cxr_edge.phantom.files import png_bytes
from cxr_edge.regions.cells import GRID

PAIR = ((64, 40, 40, 18), (64, 88, 40, 18))
"""Centre row, centre column, half height, half width of a right and a left lung, in cells."""


def drawn(ellipses: Sequence[tuple[int, int, int, int]] = PAIR) -> NDArray[np.bool_]:
    """A mask ``[128, 128]`` of ellipses given by centre and half axes in cells."""
    rows, columns = np.mgrid[:GRID, :GRID]
    mask = np.zeros((GRID, GRID), np.bool_)
    for row, column, half_height, half_width in ellipses:
        mask |= ((rows - row) / half_height) ** 2 + ((columns - column) / half_width) ** 2 <= 1
    return mask


def picture(mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    """A thumbnail that is black where the mask is true and white elsewhere."""
    return np.where(mask, -1, 1).astype(np.float32)


def logits(mask: NDArray[np.bool_], strength: float = 6.0) -> NDArray[np.float32]:
    """What a network that sees exactly this mask gives."""
    return np.where(mask, strength, -strength).astype(np.float32)


def dark_is_lung(
    *,
    gain: float = -6.0,
    inputs: Sequence[str] = (INPUT,),
    output: str = OUTPUT,
    shape: Sequence[str | int] = ("N", 1, GRID, GRID),
    kind: int = TensorProto.FLOAT,
) -> bytes:
    """An ONNX file whose logit is ``gain`` times the display value."""
    graph = helper.make_graph(
        [helper.make_node("Mul", [inputs[0], "gain"], [output])],
        "dark",
        [helper.make_tensor_value_info(name, kind, list(shape)) for name in inputs],
        [helper.make_tensor_value_info(output, kind, list(shape))],
        [numpy_helper.from_array(np.array(gain, helper.tensor_dtype_to_np_dtype(kind)), "gain")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=9)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def write_chests(folder: Path, *, folds: int = 3, per_fold: int = 4, side: int = 128, unmasked: int = 1) -> Path:
    """A label file of phantoms with lung masks, ``unmasked`` of them without one; every fold has both classes."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for number in range(folds * per_fold + unmasked):
        spec = PhantomSpec(height=side, width=side, bits_stored=8, seed=number, abnormal=number // folds % 2 == 1)
        (folder / f"{number}.png").write_bytes(png_bytes(phantom(spec)))
        has_mask = number < folds * per_fold
        if has_mask:
            Image.fromarray(lung_mask(spec)).save(folder / f"{number}_mask.png")
        rows.append(
            {
                "file": f"{number}.png",
                "mask": f"{number}_mask.png" if has_mask else "",
                "label": int(spec.abnormal),
                "fold": number % folds,
                "patient_id": f"p{number}",
            }
        )
    with (folder / "labels.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return folder / "labels.csv"
