"""This project's own checkpoint: back to the same bits, written whole or not at all."""

from __future__ import annotations

import os

import pytest
import torch

from cxr_edge.errors import DatasetError, OutputError, UsageError
from cxr_edge.preprocess.spec import PreprocessSpec
from training.checkpoints import Normalisation, load_checkpoint, save_checkpoint
from training.model import CheXNet


@pytest.fixture
def network(trained_looking, blocks):
    return trained_looking(CheXNet(1, 2, blocks))


LABELS = ("Effusion", "Nodule")


def test_round_trip_keeps_every_bit_and_all_that_was_said(network, tmp_path):
    path = tmp_path / "best.pt"
    spec = PreprocessSpec(height=96, width=128, mean=0.4, std=0.25)
    save_checkpoint(path, network, labels=LABELS, preprocess=spec, metadata={"epoch": 7, "seeds": [1, 2]})
    loaded = load_checkpoint(path)
    assert loaded.format == "cxr-edge"
    assert loaded.labels == LABELS
    assert loaded.preprocess == spec
    assert loaded.normalisation == Normalisation((0.4,), (0.25,))
    assert loaded.metadata == {"epoch": 7, "seeds": [1, 2]}
    assert loaded.logit_difference is None
    assert loaded.notes == ()
    assert not loaded.model.training
    stored = network.state_dict()
    assert all(torch.equal(tensor, stored[name]) for name, tensor in loaded.model.state_dict().items())


def test_the_file_can_be_read_without_running_code(network, tmp_path):
    path = tmp_path / "best.pt"
    save_checkpoint(path, network, labels=LABELS, metadata={"note": "x"})
    payload = torch.load(path, weights_only=True)
    assert payload["format"] == "cxr-edge"
    assert payload["format_version"] == 1
    assert payload["outputs"] == 2


def test_an_unfolded_reference_is_stored_with_its_normalisation_and_folds_later(trained_looking, blocks, tmp_path):
    path = tmp_path / "reference.pt"
    inputs = Normalisation((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    network = trained_looking(CheXNet(3, 1, blocks))
    save_checkpoint(path, network, labels=("abnormal",), normalisation=inputs)
    assert load_checkpoint(path, channels=3).normalisation == inputs
    folded = load_checkpoint(path)
    assert folded.model.channels == 1
    assert folded.logit_difference > 0


def test_saving_in_the_middle_of_training_leaves_the_mode_alone(network, tmp_path):
    network.train()
    save_checkpoint(tmp_path / "best.pt", network, labels=LABELS)
    assert network.training


def test_labels_must_name_every_output(network, tmp_path):
    with pytest.raises(UsageError, match="1 labels do not name the 2 outputs"):
        save_checkpoint(tmp_path / "best.pt", network, labels=("abnormal",))


@pytest.mark.parametrize("metadata", [{"x": object()}, {"loss": float("nan")}], ids=["object", "nan"])
def test_metadata_must_be_json(network, tmp_path, metadata):
    with pytest.raises(UsageError, match="must be JSON"):
        save_checkpoint(tmp_path / "best.pt", network, labels=LABELS, metadata=metadata)


def test_a_diverged_network_does_not_replace_a_good_file(network, tmp_path):
    path = tmp_path / "best.pt"
    save_checkpoint(path, network, labels=LABELS)
    before = path.read_bytes()
    with torch.no_grad():
        network.head.bias[0] = float("nan")
    with pytest.raises(DatasetError, match=r"head\.bias"):
        save_checkpoint(path, network, labels=LABELS)
    assert path.read_bytes() == before


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_failure_while_writing_leaves_the_old_file_and_no_other(network, tmp_path, monkeypatch, step):
    path = tmp_path / "best.pt"
    path.write_bytes(b"what stood there")

    def full(*_args: object) -> None:
        raise OSError(28, "No space left on device")

    if step == "fsync":
        monkeypatch.setattr(os, "fsync", full)
    else:
        monkeypatch.setattr("pathlib.Path.replace", full)
    with pytest.raises(OutputError, match="No space left on device") as caught:
        save_checkpoint(path, network, labels=LABELS)
    assert caught.value.exit_code == 9
    assert path.read_bytes() == b"what stood there"
    assert [entry.name for entry in tmp_path.iterdir()] == ["best.pt"]


def test_a_missing_folder_is_an_output_error(network, tmp_path):
    with pytest.raises(OutputError, match="No such file or directory"):
        save_checkpoint(tmp_path / "absent" / "best.pt", network, labels=LABELS)


def test_a_name_as_long_as_the_file_system_allows_can_be_written(network, tmp_path):
    path = tmp_path / ("n" * 252 + ".pt")
    save_checkpoint(path, network, labels=LABELS)
    assert load_checkpoint(path).labels == LABELS


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format_version": 2}, "format version 2; this version of cxr-edge reads 1"),
        ({"labels": ["one"]}, "1 labels for 2 outputs"),
        ({"preprocess": {"mean": 0.5, "gamma": 2}}, "gamma"),
        ({"normalisation": {"mean": [0.5], "std": [0.0]}}, "std"),
        ({"blocks": [6, 12, 10**9, 16]}, "no DenseNet has blocks"),
        ({"blocks": [6, 12, 24, 16]}, "does not fit this DenseNet"),
        ({"state_dict": {"head.weight": 1}}, "holds no state dict"),
        ({"metadata": None}, "incomplete or was altered"),
    ],
    ids=str,
)
def test_altered_files_are_refused(network, tmp_path, change, message):
    path = tmp_path / "best.pt"
    save_checkpoint(path, network, labels=LABELS)
    torch.save({**torch.load(path, weights_only=True), **change}, path)
    with pytest.raises(DatasetError, match=message):
        load_checkpoint(path)


def test_a_missing_entry_is_refused_by_name(network, tmp_path):
    path = tmp_path / "best.pt"
    save_checkpoint(path, network, labels=LABELS)
    payload = torch.load(path, weights_only=True)
    del payload["blocks"]
    torch.save(payload, path)
    with pytest.raises(DatasetError, match="blocks"):
        load_checkpoint(path)
