"""Checkpoints: the CheXNet weights that people have, read safely into this project's network, and our own format.

``file.py`` reads a file without running anything in it, ``formats.py`` knows who names layers how, ``fold.py`` turns
three input channels into one, ``edge_format.py`` is what this project writes, ``load.py`` joins them.
"""

from training.checkpoints.edge_format import save_checkpoint
from training.checkpoints.formats import FORMATS, CheckpointFormat
from training.checkpoints.load import LoadedCheckpoint, load_checkpoint
from training.checkpoints.normalisation import Normalisation, network_input

__all__ = [
    "FORMATS",
    "CheckpointFormat",
    "LoadedCheckpoint",
    "Normalisation",
    "load_checkpoint",
    "network_input",
    "save_checkpoint",
]
