"""The table of docs/sites.md says what Wilson's interval says."""

from __future__ import annotations

from pathlib import Path

from calibration.site import MIN_IMAGES
from cxr_edge.evaluation.intervals import wilson

PAGE = Path(__file__).resolve().parents[3] / "docs" / "sites.md"
SHARES = (0.7, 0.8, 0.9, 0.95)
IMAGES = (MIN_IMAGES, 30, 50, 100, 200, 300, 500, 1000)


def row(images: int) -> str:
    """One row of the table; a share that no count of images gives is rounded to the next count."""
    intervals = (wilson(round(share * images), images) for share in SHARES)
    cells = (f"{interval.low:.2f} to {interval.high:.2f}" for interval in intervals)
    return f"| {images} | {' | '.join(cells)} |"


def test_every_row_of_the_table_is_the_interval_of_its_number_of_images() -> None:
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    first = lines.index("| images of the class | 70 % right | 80 % right | 90 % right | 95 % right |") + 2
    assert lines[first : first + len(IMAGES)] == [row(images) for images in IMAGES]
