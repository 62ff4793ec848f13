"""Files that are no usable checkpoint: refused with a message that tells why, and nothing in them ever runs."""

from __future__ import annotations

import argparse
import os
import random
import struct
import warnings
import zipfile
from pathlib import Path

import pytest
import torch
from torch import nn

from cxr_edge.errors import DatasetError
from training.checkpoints.file import read_checkpoint_file


class TouchesFile:
    """Unpickling it with an ordinary unpickler creates a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("zip_format", [True, False], ids=["zip", "legacy"])
def test_whole_model_pickle_is_refused_with_the_way_to_convert_it(densenet, saved, zip_format, load):
    path = saved(nn.Sequential(nn.Conv2d(3, 4, 1)), zip_format=zip_format)
    with pytest.raises(DatasetError, match=r"names torch\.nn\.modules.*torch\.save\(model\.state_dict\(\)"):
        load(path)


@pytest.mark.parametrize("zip_format", [True, False], ids=["zip", "legacy"])
def test_code_in_a_checkpoint_is_never_run(densenet, saved, tmp_path, zip_format, load):
    mark = tmp_path / "executed"
    payload = {"state_dict": densenet(1, 18).state_dict(), "epoch": TouchesFile(mark)}
    path = saved(payload, zip_format=zip_format)
    with pytest.raises(DatasetError, match="could run code: refused"):
        load(path)
    assert not mark.exists()
    torch.load(path, weights_only=False)
    assert mark.exists(), "the trap itself must work, or this test proves nothing"


def test_harmless_foreign_classes_are_refused_too(saved, load):
    with pytest.raises(DatasetError, match=r"argparse\.Namespace"):
        load(saved({"state_dict": {}, "args": argparse.Namespace(lr=1)}))


def test_torchscript_is_refused(tmp_path, load):
    path = tmp_path / "script.pt"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scripting is deprecated; files of it are still around
        torch.jit.script(nn.Linear(2, 2)).save(str(path))
    with pytest.raises(DatasetError, match="TorchScript archive"):
        load(path)


def safetensors(path: Path) -> None:
    header = b'{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'
    path.write_bytes(struct.pack("<Q", len(header)) + header + bytes(4))


def zip_of_something(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("word/document.xml", "<x/>")


WRITERS = {
    "missing": (lambda path: None, "does not exist"),
    "directory": (lambda path: path.mkdir(), "is a directory"),
    "empty": (lambda path: path.write_bytes(b""), r"is empty \(0 bytes\)"),
    "text": (lambda path: path.write_text("epoch,loss\n1,0.5\n"), "is not a file of torch.save"),
    "json": (lambda path: path.write_text('[1,2,3, {"a": 1}]'), "is not a file of torch.save"),
    "picture": (lambda path: path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(64)), "is not a file of torch.save"),
    "safetensors": (safetensors, "safetensors file, which is not supported"),
    "other zip": (zip_of_something, "none of torch.save"),
    "pickle garbage": (lambda path: path.write_bytes(b"\x80\x02garbage" * 9), "damaged"),
}


@pytest.mark.parametrize("kind", WRITERS)
def test_files_that_are_no_checkpoint_are_named_for_what_they_are(tmp_path, kind, load):
    write, message = WRITERS[kind]
    path = tmp_path / "model.pth"
    write(path)
    with pytest.raises(DatasetError, match=message) as caught:
        load(path)
    assert caught.value.exit_code == 3


@pytest.mark.parametrize("zip_format", [True, False], ids=["zip", "legacy"])
@pytest.mark.parametrize("kept", [0.001, 0.5, 0.9999])
def test_truncated_file_is_damaged(densenet, saved, zip_format, kept, load):
    path = saved(densenet(1, 18).state_dict(), zip_format=zip_format)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * kept)])
    with pytest.raises(DatasetError, match=r"damaged|truncated"):
        load(path)


@pytest.mark.parametrize("zip_format", [True, False], ids=["zip", "legacy"])
def test_flipped_bytes_never_raise_anything_but_a_dataset_error(saved, zip_format):
    path = saved({"state_dict": {"features.conv0.weight": torch.ones(4, 3, 2, 2)}, "epoch": 3}, zip_format=zip_format)
    content = path.read_bytes()
    generator = random.Random(0)
    refused = 0
    for _ in range(150):
        damaged = bytearray(content)
        damaged[generator.randrange(len(content))] ^= 1 << generator.randrange(8)
        path.write_bytes(damaged)
        try:
            read_checkpoint_file(path)
        except DatasetError:
            refused += 1
    assert refused > 20


@pytest.mark.parametrize(
    "payload",
    [{}, [1, 2], {"epoch": 3}, {"state_dict": {"a": 1.0}}, torch.zeros(3)],
    ids=["empty", "list", "no weights", "numbers", "tensor"],
)
def test_a_file_without_a_state_dict_says_what_it_holds(saved, payload, load):
    with pytest.raises(DatasetError, match="holds no state dict"):
        load(saved(payload))


def test_missing_weights_are_counted_and_the_first_listed(densenet, saved, load):
    state = densenet(3, 14).state_dict()
    gone = [name for name in state if "denseblock2" in name and not name.endswith("num_batches_tracked")]
    for name in gone:
        del state[name]
    with pytest.raises(DatasetError) as caught:
        load(saved(state))
    message = str(caught.value)
    assert f"{len(gone)} missing" in message
    assert "features.denseblock2.denselayer1.layers.norm1.weight" in message
    assert message.count("denseblock2") == 5
    assert message.endswith("...")


def test_unexpected_weights_are_listed(densenet, saved, load):
    state = {**densenet(3, 14).state_dict(), "attention.weight": torch.zeros(3)}
    with pytest.raises(DatasetError, match=r"1 unexpected: attention\.weight"):
        load(saved(state))


def test_wrong_shapes_are_listed_with_both(densenet, saved, load):
    state = densenet(3, 14).state_dict()
    state["features.norm5.weight"] = torch.ones(7)
    with pytest.raises(DatasetError, match=r"1 of another shape: features\.norm5\.weight \(7,\) instead of \(\d+,\)"):
        load(saved(state))


def test_a_deeper_densenet_is_no_densenet_121(densenet, saved, load):
    with pytest.raises(DatasetError, match=r"unexpected: features\.denseblock4\.denselayer3"):
        load(saved(densenet(3, 14, (2, 2, 2, 3)).state_dict()))


def test_a_backbone_without_a_head_needs_a_new_one_allowed(densenet, saved, load):
    state = {name: tensor for name, tensor in densenet(3, 14).state_dict().items() if "classifier" not in name}
    path = saved(state)
    with pytest.raises(DatasetError, match="has no outputs"):
        load(path)
    assert load(path, outputs=1, new_head=True).labels == ("abnormal",)


def test_a_missing_last_norm_is_listed_when_a_new_head_is_made(densenet, saved, load):
    state = densenet(3, 14).state_dict()
    del state["features.norm5.weight"]
    with pytest.raises(DatasetError, match=r"missing: features\.norm5\.weight"):
        load(saved(state), outputs=1, new_head=True)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_named(densenet, saved, value, load):
    state = densenet(3, 14).state_dict()
    state["features.denseblock3.denselayer1.conv2.weight"][0, 0, 0, :2] = value
    with pytest.raises(DatasetError, match=r"denselayer1\.layers\.conv2\.weight holds 2 NaN or infinite"):
        load(saved(state))


@pytest.mark.parametrize("bad", [torch.zeros(64).to_sparse(), torch.zeros(64, dtype=torch.complex64)])
def test_tensors_that_are_not_plain_numbers_are_named(densenet, saved, bad, load):
    state = {**densenet(3, 14).state_dict(), "features.norm0.bias": bad}
    with pytest.raises(DatasetError, match=r"features\.norm0\.bias is no plain tensor"):
        load(saved(state))


@pytest.mark.parametrize("channels", [2, 4])
def test_a_stem_of_other_channels_is_refused(densenet, saved, channels, load):
    state = {**densenet(3, 14).state_dict(), "features.conv0.weight": torch.zeros(64, channels, 7, 7)}
    with pytest.raises(DatasetError, match=rf"\(64, {channels}, 7, 7\)"):
        load(saved(state), format_name="torchvision")


def test_two_networks_in_one_file_are_refused(densenet, saved, load):
    state = densenet(3, 14).state_dict()
    with pytest.raises(DatasetError, match="more than one network"):
        load(saved({**state, **{f"module.{name}": tensor for name, tensor in state.items()}}))


def test_old_and_new_names_of_one_weight_are_refused(densenet, old_names, saved, load):
    state = densenet(3, 14).state_dict()
    with pytest.raises(DatasetError, match="under old and new layer names"):
        load(saved({**state, **old_names(state)}))
