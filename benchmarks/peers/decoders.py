"""Files to pixels by the libraries that people call directly, in one process and without limits."""

from __future__ import annotations

import numpy as np

from cxr_edge.bench.cell import CellRequest
from cxr_edge.bench.workload import Workload, timed

__all__ = ["opencv_file", "pillow_file", "pydicom_jpeg2000", "pydicom_pixels"]


def pillow_file(request: CellRequest) -> Workload:
    """``PIL.Image.open`` and all pixels as an array."""
    from PIL import Image

    path = str(request.sample)
    return Workload(timed(lambda: np.asarray(Image.open(path))))


def opencv_file(request: CellRequest) -> Workload:
    """``cv2.imread`` with IMREAD_UNCHANGED."""
    import cv2

    path = str(request.sample)
    return Workload(timed(lambda: cv2.imread(path, cv2.IMREAD_UNCHANGED)))


def pydicom_pixels(request: CellRequest) -> Workload:
    """``pydicom.dcmread(...).pixel_array``."""
    import pydicom

    path = str(request.sample)
    return Workload(timed(lambda: pydicom.dcmread(path).pixel_array))


def pydicom_jpeg2000(request: CellRequest) -> Workload:
    """The one frame's codestream from pydicom, all of it decoded by Pillow."""
    import io

    import pydicom
    from PIL import Image
    from pydicom.encaps import get_frame

    path = str(request.sample)

    def decode() -> object:
        codestream = get_frame(pydicom.dcmread(path).PixelData, 0, number_of_frames=1)
        return np.asarray(Image.open(io.BytesIO(codestream)))

    return Workload(timed(decode))
