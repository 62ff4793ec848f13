"""The pictures of ``docs/regions.md``: the parts on a phantom, what hiding them does, where the evidence lies.

No radiograph of a person stands in them: parts are shown on a phantom, and evidence as a mean over a class of images.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from cxr_edge.atomic import write_atomically
from cxr_edge.errors import UsageError
from cxr_edge.phantom import PhantomSpec, lung_mask, phantom
from cxr_edge.preprocess import PreprocessSpec
from cxr_edge.records import Box
from cxr_edge.regions import region_input, whole_frame
from cxr_edge.regions.cells import GRID
from cxr_edge.regions.network_input import mask_of_input
from training.occlusion.figures import RunFigures
from training.occlusion.hiding import WAYS, hidden
from training.occlusion.parts import PARTS, parts_of
from training.occlusion.record import MAP_SIDE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["draw_effects", "draw_evidence", "draw_parts"]

INK, LINES = "#22303c", "#d9dfe4"
COLOURS = {"black": "#22303c", "blurred": "#1f6fb2"}
LUNGS = "#2f8f6b"


def draw_parts(path: Path) -> None:
    """Every part hidden on a phantom, black in the upper row and blurred in the lower.

    Raises:
        OutputError: the file cannot be written.
    """
    chest = PhantomSpec(height=512, width=512, bits_stored=8, seed=7)
    radiograph, spec = phantom(chest), PreprocessSpec()
    whole = whole_frame(radiograph)
    picture = region_input(radiograph, spec, whole)
    parts = parts_of(on_grid(lung_mask(chest)))
    figure = new_figure(1.35 * len(PARTS), 3.1)
    panels = figure.subplots(len(WAYS), len(PARTS))
    for column, name in enumerate(PARTS):
        part = mask_of_input(parts[name], Box(0, 0, *radiograph.pixels.shape), radiograph, spec)
        for row, way in enumerate(WAYS):
            axes = panels[row, column]
            axes.imshow(hidden(picture, part, way, spec), cmap="gray", vmin=-1, vmax=1)
            axes.set_xticks([])
            axes.set_yticks([])
            if row == 0:
                axes.set_title(name, fontsize=8, color=INK)
            if column == 0:
                axes.set_ylabel(way, fontsize=8, color=INK)
    save(figure, path)


def draw_effects(runs: Sequence[RunFigures], path: Path) -> None:
    """The AUC that is left and the mean shift of probability, a row for each part, a pair of panels for each run.

    Raises:
        OutputError: the file cannot be written.
    """
    figure = new_figure(9.5, 0.9 + 3.0 * len(runs))
    panels = figure.subplots(len(runs), 2, sharey="row", squeeze=False)
    for (left, right), run in zip(panels, runs, strict=True):
        left.axvline(run.auc.value, color=LINES, linewidth=6, zorder=0)
        left.axvline(0.5, color=INK, linewidth=0.8, linestyle=":")
        for row, part in enumerate(PARTS):
            for offset, way in zip((-0.16, 0.16), WAYS, strict=True):
                effect = run.effect(part, way)
                for axes, value in ((left, effect.auc), (right, effect.shift)):
                    axes.plot((value.low, value.high), (row + offset,) * 2, color=COLOURS[way], linewidth=1.5)
                    axes.plot(value.value, row + offset, "o", color=COLOURS[way], markersize=4.5)
        left.set_yticks(range(len(PARTS)), [f"{part} ({run.effect(part, WAYS[0]).share:.0%})" for part in PARTS])
        left.set_title(
            f"shown: {run.variant} ({run.run}) · AUC with the part hidden (band: nothing hidden)", fontsize=9, color=INK
        )
        right.set_title("mean |Δp|", fontsize=9, color=INK)
        right.set_xlim(left=0)
        left.invert_yaxis()
        for axes in (left, right):
            plain_axes(axes)
    for way in WAYS:
        panels[0][1].plot([], [], "o-", color=COLOURS[way], markersize=4.5, label=way)
    panels[0][1].legend(fontsize=8, frameon=False, loc="lower right")
    save(figure, path)


def draw_evidence(runs: Sequence[RunFigures], path: Path) -> None:
    """Mean evidence over the frame by true class, with the outline of the mean lungs; a row for each run.

    Raises:
        OutputError: the file cannot be written.
    """
    figure = new_figure(7.2, 0.3 + 3.1 * len(runs))
    panels = figure.subplots(len(runs), 2, squeeze=False)
    for row, run in zip(panels, runs, strict=True):
        maps = {name: square(run.maps[name]) for name in ("normal", "abnormal") if run.maps[name]}
        largest = max(float(np.abs(one).max()) for one in maps.values())
        for axes, (name, evidence) in zip(row, maps.items(), strict=True):
            shown = axes.imshow(evidence, cmap="RdBu_r", vmin=-largest, vmax=largest, interpolation="bicubic")
            axes.contour(square(run.maps["lungs"]), levels=[0.5], colors=LUNGS, linewidths=1.4)
            axes.set_title(f"{run.variant} ({run.run}), {name} images", fontsize=9, color=INK)
            axes.set_xticks([])
            axes.set_yticks([])
        figure.colorbar(shown, ax=list(row), shrink=0.85, label="logits; red: abnormal")
    save(figure, path)


def square(values: Sequence[float]) -> NDArray[np.float64]:
    """A map by rows as ``[MAP_SIDE, MAP_SIDE]``."""
    return np.array(values).reshape(MAP_SIDE, MAP_SIDE)


def on_grid(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """A mask of the frame on the grid of regions, the nearest pixel for each cell."""
    rows, columns = ((2 * np.arange(GRID) + 1) * side // (2 * GRID) for side in mask.shape)
    return mask[np.ix_(rows, columns)]


def plain_axes(axes: Axes) -> None:
    """Axes as every picture of this project has them."""
    axes.grid(axis="x", color=LINES, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors=INK, labelsize=8, length=0)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(LINES)


def new_figure(width: float, height: float) -> Figure:
    """An empty figure, inches.

    Raises:
        UsageError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise UsageError("pictures need matplotlib: pip install 'cxr-edge[workstation]'") from error
    return Figure(figsize=(width, height), layout="constrained", facecolor="white")


def save(figure: Figure, path: Path) -> None:
    """Write a figure as PNG."""
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", dpi=110, metadata={"Software": None})
    write_atomically(path, drawn.getvalue())
