"""What a model has seen may not be offered as evidence."""

from __future__ import annotations

import json

import pytest

from cxr_edge.data_use import (
    DataUse,
    Footprint,
    Overlap,
    assert_unseen,
    footprint,
    image_sha256,
    overlaps,
    patient_hash,
)
from cxr_edge.errors import BundleError, DatasetError, SeenDataError
from cxr_edge.labels import read_labels


def dataset(folder, patients, prefix=""):
    """A label file with one image a patient; the bytes are the patient's id."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    lines = ["file,label,patient_id"]
    for patient in patients:
        (folder / f"images/{prefix}{patient}.png").write_bytes(patient.encode())
        lines.append(f"images/{prefix}{patient}.png,0,{patient}")
    (folder / "labels.csv").write_text("\n".join(lines))
    return read_labels(folder / "labels.csv")


@pytest.fixture
def seen(tmp_path):
    return DataUse().with_role("train", footprint(dataset(tmp_path / "hospital", ["p1", "p2", "p3"])))


def test_new_patients_pass(seen, tmp_path):
    assert_unseen(footprint(dataset(tmp_path / "new/hospital", ["p4", "p5"])), seen)


def test_the_same_image_under_another_name_in_another_data_set_is_recognised(seen, tmp_path):
    offered = footprint(dataset(tmp_path / "clinic", ["p1", "p9"], prefix="renamed-"))
    assert overlaps(offered, seen) == (Overlap("train", images=1, patients=0),)


def test_another_image_of_a_seen_patient_is_recognised(seen, tmp_path):
    folder = tmp_path / "later/hospital"
    labels = dataset(folder, ["p2"])
    (folder / "images/p2.png").write_bytes(b"taken a year later")
    assert overlaps(footprint(labels), seen) == (Overlap("train", images=0, patients=1),)


def test_the_same_id_in_another_data_set_is_another_patient(seen, tmp_path):
    folder = tmp_path / "clinic"
    labels = dataset(folder, ["p2"])
    (folder / "images/p2.png").write_bytes(b"somebody else")
    assert_unseen(footprint(labels), seen)


def test_the_error_counts_by_role_and_names_no_patient(seen, tmp_path):
    again = footprint(dataset(tmp_path / "again/hospital", ["p1", "p2"]))
    both = seen.with_role("int8_ranges", Footprint(frozenset(), again.patients))
    with pytest.raises(
        SeenDataError, match=r"int8_ranges: 0 images, 2 patients; train: 2 images, 2 patients"
    ) as caught:
        assert_unseen(again, both)
    assert caught.value.exit_code == 11
    assert "p1" not in str(caught.value)


def test_a_role_accumulates_and_leaves_the_earlier_record_alone(seen):
    more = seen.with_role("train", Footprint(frozenset({"0" * 16}), frozenset()))
    assert len(more.roles["train"].images) == 4
    assert len(seen.roles["train"].images) == 3


def test_json_round_trip_gives_an_equal_record_and_holds_no_plain_id(seen):
    text = json.dumps(seen.to_json())
    assert DataUse.from_json(json.loads(text)) == seen
    assert "p1" not in text
    assert all(len(item) == 16 for item in seen.to_json()["roles"]["train"]["images"])


@pytest.mark.parametrize(
    "value",
    [
        None,
        {},
        {"roles": []},
        {"roles": {}, "more": 1},
        {"roles": {"train": {"images": []}}},
        {"roles": {"train": {"images": ["xyz"], "patients": []}}},
        {"roles": {"train": {"images": [1], "patients": []}}},
        {"roles": {"train": {"images": "0" * 16, "patients": []}}},
        {"roles": {"Train set": {"images": [], "patients": []}}},
    ],
)
def test_a_record_that_cannot_be_read_is_refused(value):
    with pytest.raises(BundleError):
        DataUse.from_json(value)


def test_a_patient_hash_depends_on_data_set_and_id_and_on_their_border():
    assert patient_hash("nih", "61") != patient_hash("hospital", "61") != patient_hash("hospital", "62")
    assert patient_hash("nih1", "61") != patient_hash("nih", "161")
    assert patient_hash("not-utf8-\udcff", "61")


def test_an_unreadable_image_is_a_dataset_error(tmp_path):
    with pytest.raises(DatasetError, match="cannot read image"):
        image_sha256(tmp_path / "none.png")
