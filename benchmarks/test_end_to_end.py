"""From bytes to decision: the shipped classifier beside the pipeline that people write for themselves.

Run with ``pytest benchmarks/test_end_to_end.py --benchmark-enable``. The peer is what torchxrayvision's examples do, on
the same network: scikit-image resize of the frame, then PyTorch eager. Both get the same frame and one thread.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cxr_edge import Classifier, Frame
from cxr_edge.phantom import Phantom, PhantomSpec, render
from cxr_edge.phantom.files import write_dicom, write_png

THREADS = 1
GROUP = "3000x3000 12-bit frame to decision, 1 thread"


@pytest.fixture(scope="module")
def picture() -> Phantom:
    """A phantom of the size that detectors send."""
    return render(PhantomSpec(height=3000, width=3000, bits_stored=12))


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    """The shipped bundle on the engine that it chooses."""
    return Classifier.open(threads=THREADS)


@pytest.mark.benchmark(group=GROUP)
def test_raw_frame(benchmark: Any, classifier: Classifier, picture: Phantom) -> None:
    source = (picture.radiograph.pixels, Frame(bits_stored=12))
    assert benchmark(classifier.classify, source).status == "ok"


@pytest.mark.benchmark(group=GROUP)
def test_uncompressed_dicom_file(benchmark: Any, classifier: Classifier, picture: Phantom, tmp_path: Path) -> None:
    write_dicom(picture, tmp_path / "x.dcm")
    assert benchmark(classifier.classify, tmp_path / "x.dcm").status == "ok"


@pytest.mark.benchmark(group=GROUP, min_rounds=3)
def test_png_file(benchmark: Any, classifier: Classifier, picture: Phantom, tmp_path: Path) -> None:
    write_png(picture, tmp_path / "x.png")
    assert benchmark(classifier.classify, tmp_path / "x.png").status == "ok"


@pytest.mark.benchmark(group=GROUP, min_rounds=3)
def test_skimage_and_pytorch_pipeline_on_the_raw_frame(benchmark: Any, picture: Phantom) -> None:
    torch = pytest.importorskip("torch")
    transform = pytest.importorskip("skimage.transform")
    model = pytest.importorskip("training.model")
    network = model.CheXNet().eval()
    pixels = picture.radiograph.pixels
    before = torch.get_num_threads()
    torch.set_num_threads(THREADS)

    def pipeline() -> float:
        normalised = pixels.astype(np.float32) * (2.0 / 4095.0) - 1.0
        small = transform.resize(normalised, (224, 224), preserve_range=True).astype(np.float32)
        with torch.inference_mode():
            logit, _ = network(torch.from_numpy(small[None, None]))
        return float(torch.sigmoid(logit))

    try:
        assert 0 <= benchmark(pipeline) <= 1
    finally:
        torch.set_num_threads(before)
