"""Who writes DenseNet-121 checkpoints, and how each of them names layers, normalises images and orders outputs."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor

from cxr_edge.errors import DatasetError, UsageError
from training.checkpoints.normalisation import Normalisation
from training.checkpoints.state import StateDict
from training.model import NIH_LABELS

__all__ = ["FORMATS", "CheckpointFormat", "chexnet_state", "recognise", "without_wrappers"]

IMAGENET = Normalisation((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
"""Of torchvision's pretrained networks; CheXNet keeps it (Rajpurkar et al., arXiv 1711.05225)."""

XRAYVISION_SCALE = 1024.0
"""torchxrayvision shows its networks [-1024, 1024] (Cohen et al., MIDL 2022): black is -1024, white 1024."""

XRAYVISION_LABELS = (
    "Atelectasis",
    "Consolidation",
    "Infiltration",
    "Pneumothorax",
    "Edema",
    "Emphysema",
    "Fibrosis",
    "Effusion",
    "Pneumonia",
    "Pleural_Thickening",
    "Cardiomegaly",
    "Nodule",
    "Mass",
    "Hernia",
    "Lung Lesion",
    "Fracture",
    "Lung Opacity",
    "Enlarged Cardiomediastinum",
)
"""The 18 outputs of torchxrayvision's DenseNets, in its order (``default_pathologies``)."""

Rename = tuple[str, str]

# torch before 0.4 allowed dots inside a module's name, and torchvision used them: "denselayer1.norm.1.weight".
_DOTTED: Rename = (r"(denselayer\d+)\.(norm|conv)\.([12])\.", r"\1.\2\3.")
# MONAI keeps a dense layer's parts in a sub-module of their own.
_LAYERS: Rename = (r"(denselayer\d+)\.(norm|conv)([12])\.", r"\1.layers.\2\3.")
# CheXNet's classifier is Sequential(Linear, Sigmoid): the linear layer is its member 0, the sigmoid has no weights.
_CLASSIFIER: Rename = (r"^classifier\.(?:0\.)?", "head.")
_WRAPPERS = re.compile(r"^(?:(?:module|model|net)\.)+")
_CONV0 = "features.conv0.weight"


@dataclass(frozen=True, slots=True)
class CheckpointFormat:
    """One way of writing a DenseNet-121.

    Attributes:
        name: how callers and messages name it.
        matches: tells whether a state dict, freed of wrapper prefixes, is of this format.
        renames: regular expressions and replacements that lead, in order, to CheXNet's names.
        normalisation: of the input, per channel, in display units.
        labels: names of the outputs in order, where the format fixes them.
        ignored: entries that are no part of the network.
        remark: what a user of such a checkpoint should know; empty when there is nothing.
    """

    name: str
    matches: Callable[[Mapping[str, Tensor]], bool]
    renames: tuple[Rename, ...]
    normalisation: Normalisation
    labels: tuple[str, ...] | None = None
    ignored: frozenset[str] = frozenset()
    remark: str = ""


def _stem_channels(state: Mapping[str, Tensor]) -> int | None:
    return int(state[_CONV0].shape[1]) if _CONV0 in state and state[_CONV0].ndim == 4 else None


def _is_xrayvision(state: Mapping[str, Tensor]) -> bool:
    head = state.get("classifier.weight")
    eighteen = head is not None and head.ndim == 2 and head.shape[0] == len(XRAYVISION_LABELS)
    return _stem_channels(state) == 1 and (eighteen or "op_threshs" in state)


FORMATS = (
    CheckpointFormat(
        name="arnoweng-chexnet",
        matches=lambda state: any(name.startswith("densenet121.") for name in state),
        renames=((r"^densenet121\.", ""), _DOTTED, _LAYERS, _CLASSIFIER),
        normalisation=IMAGENET,
        labels=NIH_LABELS,
        remark="its sigmoid is left out: outputs are logits",
    ),
    CheckpointFormat(
        name="monai",
        matches=lambda state: any(re.search(r"denselayer\d+\.layers\.|^class_layers\.", name) for name in state),
        renames=((r"^class_layers\.out\.", "head."),),
        # MONAI prescribes none; this is what its ScaleIntensity transform gives by default.
        normalisation=Normalisation((0.0,), (1.0,)),
        remark="MONAI fixes no input normalisation; display values in [0, 1] are assumed unless one is given",
    ),
    CheckpointFormat(
        name="torchxrayvision",
        matches=_is_xrayvision,
        renames=(_DOTTED, _LAYERS, _CLASSIFIER),
        normalisation=Normalisation((0.5,), (0.5 / XRAYVISION_SCALE,)),
        labels=XRAYVISION_LABELS,
        ignored=frozenset({"op_threshs"}),
        remark="its sigmoid and op_threshs scaling are left out: outputs are logits; released weights other than "
        "'all' leave some of the 18 outputs untrained",
    ),
    CheckpointFormat(
        name="torchvision",
        matches=lambda state: _stem_channels(state) == 3,
        renames=(_DOTTED, _LAYERS, _CLASSIFIER),
        normalisation=IMAGENET,
    ),
)
"""Every foreign format, the more telling marks first: the first match is taken."""


def without_wrappers(state: Mapping[str, Tensor], source: str) -> StateDict:
    """The same tensors without the prefixes of DataParallel (``module.``) and of training frameworks.

    Raises:
        DatasetError: two networks are stored side by side, so that names coincide without their prefixes.
    """
    bare = {_WRAPPERS.sub("", name): tensor for name, tensor in state.items()}
    if len(bare) != len(state):
        raise DatasetError(f"checkpoint {source} holds more than one network; save the state dict of one alone")
    return bare


def recognise(state: Mapping[str, Tensor], source: str, name: str | None = None) -> CheckpointFormat:
    """The format that a state dict is written in.

    Args:
        state: names without wrapper prefixes.
        source: how messages name the checkpoint.
        name: the format, when the caller knows it; nothing is guessed then.

    Raises:
        DatasetError: it looks like none of ``FORMATS``.
        UsageError: there is no format of that name.
    """
    known = ", ".join(candidate.name for candidate in FORMATS)
    for candidate in FORMATS:
        if candidate.name == name or (name is None and candidate.matches(state)):
            return candidate
    if name is not None:
        raise UsageError(f"checkpoint format {name!r} is unknown; known are {known}")
    raise DatasetError(
        f"checkpoint {source} is in none of the known formats ({known}); name one of them if you know better. "
        f"Its first weights are {', '.join(list(state)[:5])}"
    )


def chexnet_state(state: Mapping[str, Tensor], checkpoint_format: CheckpointFormat, source: str) -> StateDict:
    """The same weights under CheXNet's names, float32, the linear classifier as a 1x1 convolution.

    Raises:
        DatasetError: two weights would get the same name.
    """
    renamed: StateDict = {}
    for name, tensor in state.items():
        if name in checkpoint_format.ignored:
            continue
        new_name = name
        for pattern, replacement in checkpoint_format.renames:
            new_name = re.sub(pattern, replacement, new_name)
        if new_name in renamed:
            raise DatasetError(f"checkpoint {source} holds {new_name} twice, under old and new layer names")
        renamed[new_name] = tensor.float() if tensor.is_floating_point() else tensor
    head = renamed.get("head.weight")
    if head is not None and head.ndim == 2:
        renamed["head.weight"] = head[:, :, None, None]
    return renamed
