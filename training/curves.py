"""Training curves as a picture: loss per epoch of every member, with the held-out loss that was watched."""

from __future__ import annotations

import io
import json
from pathlib import Path

from matplotlib.figure import Figure

from cxr_edge.atomic import write_atomically

__all__ = ["draw_curves"]


def draw_curves(directory: Path) -> Path:
    """Draw ``curves.png`` from the histories in a run's folder and return its path."""
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.add_subplot(
        xlabel="epoch", ylabel="mean cross-entropy, nats", title=f"Training curves of {directory.name}"
    )
    for number, path in enumerate(sorted(directory.glob("*/history.jsonl"))):
        history = [json.loads(line) for line in path.read_text().splitlines()]
        colour = f"C{number % 10}"
        axes.plot([h["epoch"] for h in history], [h["loss"] for h in history], color=colour, label=path.parent.name)
        watched = [h for h in history if "held_out_loss" in h]
        axes.plot([h["epoch"] for h in watched], [h["held_out_loss"] for h in watched], "o--", color=colour, alpha=0.6)
    axes.plot([], [], "o--", color="grey", label="held out (watched, decides nothing)")
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=130)
    write_atomically(directory / "curves.png", picture.getvalue())
    return directory / "curves.png"
