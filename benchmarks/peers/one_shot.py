"""``python -m benchmarks.peers.one_shot FILE.dcm WEIGHTS.pt THREADS``: one file, in the manner of torchxrayvision.

It imports what such a script imports and nothing of this library.
"""

from __future__ import annotations

import math
import sys


def main(path: str, weights: str, threads: int) -> None:
    """Print a probability."""
    import pydicom
    import torch

    from benchmarks.peers.densenet import DenseNet121
    from benchmarks.peers.torchxrayvision_style import resized

    torch.set_num_threads(threads)
    network = DenseNet121()
    network.load_state_dict(torch.load(weights, weights_only=True))
    network.eval()
    small = resized(pydicom.dcmread(path).pixel_array)
    with torch.inference_mode():
        logit = network(torch.from_numpy(small)[None, None])
    print(1.0 / (1.0 + math.exp(-float(logit))))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
