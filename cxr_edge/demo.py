"""Sample images to try the library on: seeded phantoms in the formats that devices send."""

from __future__ import annotations

from pathlib import Path

from cxr_edge.atomic import output_errors
from cxr_edge.phantom import PhantomSpec, render
from cxr_edge.phantom.files import write_dicom, write_png

__all__ = ["write_samples"]


def write_samples(folder: Path) -> list[Path]:
    """Write four phantoms, 8- and 16-bit PNG and DICOM of both polarities, and return their paths.

    They exercise the whole way from file to heatmap. They are drawings: what the network says of them shows that the
    pipeline works, not how good the model is.

    Args:
        folder: where to; made when it doesn't exist.

    Raises:
        OutputError: the folder or a file cannot be written.
    """
    with output_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    samples = (
        ("phantom-clear.png", PhantomSpec(seed=1, bits_stored=8, height=1024, width=1024), write_png),
        ("phantom-opacities.png", PhantomSpec(seed=1, bits_stored=16, abnormal=True), write_png),
        ("phantom-clear.dcm", PhantomSpec(seed=2, bits_stored=12, height=1500, width=1300), write_dicom),
        (
            "phantom-opacities-mono1.dcm",
            PhantomSpec(seed=2, bits_stored=12, height=1500, width=1300, abnormal=True, inverted=True),
            write_dicom,
        ),
    )
    paths = []
    for name, spec, write in samples:
        write(render(spec), folder / name)
        paths.append(folder / name)
    return paths
