"""Reading label files: what is understood, what is refused and how."""

from __future__ import annotations

import hashlib

import pytest

from cxr_edge.errors import DatasetError, ResourceLimitError, UsageError
from cxr_edge.labels import assert_patient_disjoint, patients_shared, read_labels

HEADER = "file,label,patient_id,fold,split,mask,finding_labels,sex"
ROWS = (
    "images/a.png,0,1,0,train,masks/a.png,No Finding,F",
    "images/b.png,1,2,1,train,,Mass|Edema,M",
    "images/c.png,1,2,1,val,,Mass,",
    "images/d.png,,,,,,,M",
)


@pytest.fixture
def folder(tmp_path):
    """A data set named "hospital": four files that exist, one mask."""
    root = tmp_path / "hospital"
    for name in ("images/a.png", "images/b.png", "images/c.png", "images/d.png", "masks/a.png"):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    return root


def written(folder, *lines, encoding="utf-8"):
    path = folder / "labels.csv"
    path.write_text("\n".join(lines) + "\n", encoding=encoding)
    return path


def test_a_row_is_read_with_its_optional_columns(folder):
    path = written(folder, HEADER, *ROWS)
    first, second, _, last = read_labels(path).images
    assert (first.path, first.label, first.fold, first.split, first.line) == (
        folder / "images/a.png",
        0,
        "0",
        "train",
        2,
    )
    assert first.mask == folder / "masks/a.png"
    assert first.columns["sex"] == "F"
    assert second.finding_labels == ("Mass", "Edema")
    assert (last.label, last.fold, last.split, last.mask, last.finding_labels) == (None, None, None, None, ())


def test_without_patient_ids_every_file_is_a_patient_of_its_own(folder):
    labels = read_labels(written(folder, "file,label", "images/a.png,0", "images/b.png,1"))
    assert [image.patient_id for image in labels.images] == ["a", "b"]


def test_the_hash_is_of_the_whole_file_whatever_the_filter(folder):
    path = written(folder, HEADER, *ROWS)
    expected = hashlib.sha256(path.read_bytes()).hexdigest()
    assert read_labels(path).sha256 == read_labels(path, ["fold=0"]).sha256 == expected


def test_byte_order_mark_crlf_blank_lines_and_blanks_are_tolerated(folder):
    path = folder / "labels.csv"
    path.write_bytes(b"\xef\xbb\xbffile, label\r\n images/a.png , 1 \r\n\r\n")
    assert [image.label for image in read_labels(path).images] == [1]


def test_quoted_cells_may_hold_commas(folder):
    labels = read_labels(written(folder, "file,label,note", 'images/a.png,1,"left, upper"'))
    assert labels.images[0].columns["note"] == "left, upper"


@pytest.mark.parametrize(
    ("where", "names"),
    [
        (["fold=0"], "a"),
        (["fold!=0"], "bcd"),
        (["fold=1", "split=val"], "c"),
        (["fold = 1", "split != val"], "b"),
        (["sex="], "c"),
        (["mask!="], "a"),
    ],
)
def test_filters_are_anded_and_compare_text(folder, where, names):
    labels = read_labels(written(folder, HEADER, *ROWS), where)
    assert "".join(image.path.stem for image in labels.images) == names
    assert labels.where == tuple(where)


@pytest.mark.parametrize(
    ("where", "message"),
    [
        (["fold"], "is not column=value"),
        (["age=3"], "no column 'age'; there are: file, label, patient_id, fold"),
        (["fold=9"], r"fold=9 leaves no image.*has: \(empty\), 0, 1"),
        (["fold=0", "sex=M"], "among the 1 images .* column 'sex' has: F"),
    ],
)
def test_a_filter_that_cannot_work_says_what_would(folder, where, message):
    with pytest.raises(UsageError, match=message):
        read_labels(written(folder, HEADER, *ROWS), where)


def test_patient_ids_are_counted_in_messages_never_listed(folder):
    path = written(folder, "file,label,patient_id", "images/a.png,0,DOE-JANE", "images/b.png,1,ROE-RICHARD")
    with pytest.raises(UsageError, match="2 different values") as caught:
        read_labels(path, ["patient_id=x"])
    assert "DOE" not in str(caught.value)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (("path,label", "images/a.png,0"), r"labels.csv:1: needs the columns 'file' and 'label'"),
        (("file,sex", "images/a.png,F"), r"labels.csv:1: needs the columns"),
        (("file,label,label", "images/a.png,0,0"), "column 'label' occurs twice"),
        (("file,label",), "no rows below the header"),
        (("",), "needs the columns"),
        (("file,label", "images/a.png,0", "images/b.png,abnormal"), r"labels.csv:3: label 'abnormal' is not 0"),
        (("file,label", "images/a.png,0,1"), r"labels.csv:2: 3 cells for 2 columns"),
        (("file,label", "images/a.png"), r"labels.csv:2: 1 cells for 2 columns"),
        (("file,label", ",1"), r"labels.csv:2: column 'file' is empty"),
        (("file,label", 'images/a.png,"1'), "not a CSV file"),
        (("file,label", "images/a.png,1", "./images/../images/a.png,0"), r":3: the same file as on line 2"),
        (("file,label", "images/" + "x" * 200_000 + ",1"), "not a CSV file: field larger than field limit"),
    ],
)
def test_a_bad_file_is_refused_with_its_line(folder, lines, message):
    with pytest.raises(DatasetError, match=message) as caught:
        read_labels(written(folder, *lines))
    assert caught.value.exit_code == 3


def test_text_that_is_not_utf8_is_refused_with_its_line(folder):
    with pytest.raises(DatasetError, match=r"labels.csv:2: not UTF-8 \(byte 0xfc\)"):
        read_labels(written(folder, "file,label", "images/ü.png,1", encoding="latin-1"))


def test_missing_files_are_counted_and_the_first_five_named(folder):
    lines = [f"images/{number}.png,1" for number in range(7)]
    with pytest.raises(DatasetError, match="7 of 8 files do not exist") as caught:
        read_labels(written(folder, "file,label", "images/a.png,0", *lines))
    assert "4.png, ..." in str(caught.value)
    assert "5.png" not in str(caught.value)


def test_only_chosen_rows_need_their_files(folder):
    path = written(folder, "file,label,fold", "images/a.png,0,0", "images/gone.png,1,1")
    assert len(read_labels(path, ["fold=0"]).images) == 1


def test_a_missing_mask_is_an_error(folder):
    with pytest.raises(DatasetError, match="1 of 2 files do not exist"):
        read_labels(written(folder, "file,label,mask", "images/a.png,0,masks/gone.png"))


def test_a_label_file_that_does_not_exist_is_a_dataset_error(tmp_path):
    with pytest.raises(DatasetError, match="cannot read label file"):
        read_labels(tmp_path / "none.csv")
    with pytest.raises(DatasetError, match="cannot read label file"):
        read_labels(tmp_path)


def test_a_label_file_beyond_the_size_limit_is_refused_unread(folder, monkeypatch):
    monkeypatch.setattr("cxr_edge.labels.MAX_BYTES", 10)
    with pytest.raises(ResourceLimitError, match="the limit is 10"):
        read_labels(written(folder, HEADER, *ROWS))


def test_labels_are_an_array_and_an_unlabelled_image_is_an_error_with_its_line(folder):
    path = written(folder, HEADER, *ROWS)
    assert read_labels(path, ["label!="]).labels().tolist() == [0, 1, 1]
    with pytest.raises(DatasetError, match=r"labels.csv:5: no label in column 'label' \(1 such rows\)"):
        read_labels(path).labels()


def test_columns_can_be_read_by_name(folder):
    labels = read_labels(written(folder, HEADER, *ROWS))
    assert labels.column("sex") == ("F", "M", "", "M")
    with pytest.raises(UsageError, match="no column 'age'"):
        labels.column("age")


def test_patients_of_different_data_sets_never_collide(folder, tmp_path):
    here = read_labels(written(folder, HEADER, *ROWS))
    elsewhere = tmp_path / "clinic"
    folder.rename(elsewhere)
    there = read_labels(elsewhere / "labels.csv")
    assert patients_shared(here, there) == 0
    assert not set(here.patients()) & set(there.patients())
    assert patients_shared(there, there) == 3


def test_a_dataset_column_outlives_the_name_of_the_folder(folder, tmp_path):
    path = written(folder, "file,label,dataset,patient_id", "images/a.png,0,nih,61", "images/b.png,0,other,61")
    here = read_labels(path)
    folder.rename(tmp_path / "copied")
    there = read_labels(tmp_path / "copied/labels.csv")
    assert patients_shared(here, there) == 2


def test_a_patient_in_two_folds_is_found_and_counted(folder):
    labels = read_labels(written(folder, HEADER, *ROWS))
    assert_patient_disjoint(labels, "fold")
    with pytest.raises(DatasetError, match="1 of 3 patients have images under several values of 'split'"):
        assert_patient_disjoint(labels, "split")


@pytest.mark.real_data
def test_the_real_splits_are_patient_disjoint(shenzhen_folder, nih_folder):
    shenzhen, nih = read_labels(shenzhen_folder / "labels.csv"), read_labels(nih_folder / "labels.csv")
    assert_patient_disjoint(shenzhen, "fold")
    assert_patient_disjoint(nih, "split")
    assert (len(shenzhen.images), int(shenzhen.labels().sum())) == (549, 281)
    assert patients_shared(shenzhen, nih) == 0
