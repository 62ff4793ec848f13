"""Label files are written from the releases as they are downloaded, with patient-disjoint, reproducible parts."""

from __future__ import annotations

import csv
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pytest

from cxr_edge.errors import DatasetError, OutputError, UsageError
from training.index import index_dataset
from training.index.readings import Reading, age_in_years, parse_reading

HEADER_2017 = (
    "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
    "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y],"
)


def put(path: Path, text: str = "pixels") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def shenzhen(folder: Path, count: int = 40) -> Path:
    """A release of ``count`` images: the second half is abnormal, every third is a woman, every fourth lacks a mask."""
    for number in range(1, count + 1):
        label = int(number > count / 2)
        stem = f"CHNCXR_{number:04d}_{label}"
        put(folder / "CXR_png" / f"{stem}.png")
        person = "female  28 yrs" if number % 3 == 0 else "male 45yrs"
        put(folder / "ClinicalReadings" / f"{stem}.txt", f"{person}\n{'bilateral PTB' if label else 'normal'}\n")
        if number % 4:
            put(folder / "mask" / f"{stem}_mask.png")
    return folder


def montgomery(folder: Path) -> Path:
    for number, label in enumerate([0, 0, 1, 1], 1):
        stem = f"MCUCXR_{number:04d}_{label}"
        put(folder / "CXR_png" / f"{stem}.png")
        reading = "left lung upper lobe  infiltrate.\nactive TB" if label else "normal"
        put(folder / "ClinicalReadings" / f"{stem}.txt", f"Patient's Sex: F \nPatient's Age: 027Y\n{reading}\n")
        put(folder / "ManualMask" / "leftMask" / f"{stem}.png")
        put(folder / "ManualMask" / "rightMask" / f"{stem}.png")
    return folder


def nih(folder: Path, patients: int = 40, lists: bool = True, header: str = HEADER_2017) -> Path:
    """Two images a patient over two image folders; every fifth patient is in the test list, odd ones have findings."""
    rows = [header]
    names: dict[bool, list[str]] = {True: [], False: []}
    for patient in range(1, patients + 1):
        for follow_up in range(2):
            name = f"{patient:08d}_{follow_up:03d}.png"
            finding = "Mass|Nodule" if patient % 2 and follow_up else "No Finding"
            rows.append(f"{name},{finding},{follow_up},{patient},058Y,{'MF'[follow_up]},PA,2500,2048,0.1,0.1,")
            put(folder / f"images_00{1 + patient % 2}" / "images" / name)
            names[patient % 5 == 0].append(name)
    put(folder / "Data_Entry_2017.csv", "\n".join(rows))
    if lists:
        put(folder / "train_val_list.txt", "\n".join(names[False]))
        put(folder / "test_list.txt", "\n".join(names[True]))
    return folder


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def parts_of_patients(rows: list[dict[str, str]], column: str) -> dict[str, set[str]]:
    parts = defaultdict(set)
    for row in rows:
        parts[row["patient_id"]].add(row[column])
    return parts


def test_shenzhen_rows_carry_label_mask_and_reading(tmp_path: Path) -> None:
    shenzhen(tmp_path / "ChinaSet_AllFiles")
    report = index_dataset("shenzhen", tmp_path, tmp_path / "labels.csv")
    rows = rows_of(tmp_path / "labels.csv")
    assert list(rows[0]) == ["file", "label", "dataset", "patient_id", "fold", "mask", "sex", "age", "findings"]
    assert {**rows[2], "fold": ""} == {
        "file": "ChinaSet_AllFiles/CXR_png/CHNCXR_0003_0.png",
        "label": "0",
        "dataset": "shenzhen",
        "patient_id": "CHNCXR_0003",
        "fold": "",
        "mask": "ChinaSet_AllFiles/mask/CHNCXR_0003_0_mask.png",
        "sex": "F",
        "age": "28",
        "findings": "normal",
    }
    assert rows[-1]["label"] == "1"
    assert rows[-1]["mask"] == ""
    assert rows[-1]["findings"] == "bilateral PTB"
    assert (report.kind, report.rows, report.patients) == ("shenzhen", 40, 40)
    assert report.class_counts == {"normal": 20, "abnormal": 20}
    assert report.skipped == ()
    assert report.warnings == ()


def test_files_are_found_from_a_label_file_in_another_folder(tmp_path: Path) -> None:
    shenzhen(tmp_path / "download" / "ChinaSet_AllFiles")
    output = tmp_path / "elsewhere" / "deep" / "labels.csv"
    output.parent.mkdir(parents=True)
    index_dataset("auto", tmp_path / "download", output)
    for row in rows_of(output):
        assert (output.parent / row["file"]).is_file()
        assert not row["mask"] or (output.parent / row["mask"]).is_file()


def test_folds_are_balanced_by_label_mask_and_sex(tmp_path: Path) -> None:
    shenzhen(tmp_path, count=60)
    report = index_dataset("shenzhen", tmp_path, tmp_path / "labels.csv")
    rows = rows_of(tmp_path / "labels.csv")
    assert set(report.part_counts) == {"0", "1", "2", "3", "4"}
    assert all(counts == {"normal": 6, "abnormal": 6} for counts in report.part_counts.values())
    for group in {(row["label"], bool(row["mask"]), row["sex"]) for row in rows}:
        per_fold = Counter(row["fold"] for row in rows if (row["label"], bool(row["mask"]), row["sex"]) == group)
        assert max(per_fold.values()) - min(per_fold[str(fold)] for fold in range(5)) <= 1


def test_folds_depend_on_seed_and_patients_but_not_on_paths(tmp_path: Path) -> None:
    contents = []
    for name, seed in [("one", 0), ("other", 0), ("seeded", 1)]:
        shenzhen(tmp_path / name)
        index_dataset("shenzhen", tmp_path / name, tmp_path / name / "labels.csv", seed=seed)
        contents.append((tmp_path / name / "labels.csv").read_bytes())
    assert contents[0] == contents[1]
    assert contents[0] != contents[2]


def test_missing_readings_and_images_are_tolerated_and_told(tmp_path: Path) -> None:
    shenzhen(tmp_path)
    (tmp_path / "ClinicalReadings" / "CHNCXR_0001_0.txt").unlink()
    (tmp_path / "CXR_png" / "CHNCXR_0002_0.png").unlink()
    (tmp_path / "CXR_png" / "CHNCXR_0003_0.png").write_bytes(b"")
    put(tmp_path / "CXR_png" / "CHNCXR_0004.png")
    put(tmp_path / "CXR_png" / "._CHNCXR_0005_0.png")
    put(tmp_path / "ClinicalReadings" / "CHNCXR_0006_0.txt", "?")
    put(tmp_path / "ClinicalReadings" / "CHNCXR_0040_1.txt", "male 411yrs\nNormal.")
    report = index_dataset("shenzhen", tmp_path, tmp_path / "labels.csv")
    rows = {row["patient_id"]: row for row in rows_of(tmp_path / "labels.csv")}
    assert rows["CHNCXR_0001"]["sex"] == rows["CHNCXR_0001"]["age"] == rows["CHNCXR_0001"]["findings"] == ""
    assert report.rows == 38
    assert {entry.name: entry.reason.split(":")[0] for entry in report.skipped} == {
        "CHNCXR_0002_0.png": "has a clinical reading, but the image is missing",
        "CHNCXR_0003_0.png": "the file is empty",
        "CHNCXR_0004.png": "the name is not CHNCXR_<number>_<0 or 1>.png",
    }
    assert [warning.rsplit(": ", 1)[1] for warning in report.warnings] == [
        "CHNCXR_0001_0",
        "CHNCXR_0006_0",
        "CHNCXR_0006_0, CHNCXR_0040_1",
        "CHNCXR_0006_0, CHNCXR_0040_1",
    ]


def test_montgomery_leaves_the_masks_of_single_lungs_out_and_says_so(tmp_path: Path) -> None:
    montgomery(tmp_path / "MontgomerySet")
    report = index_dataset("auto", tmp_path, tmp_path / "labels.csv", folds=2)
    rows = rows_of(tmp_path / "labels.csv")
    assert report.kind == "montgomery"
    assert "mask" not in rows[0]
    assert any("one file a lung" in warning for warning in report.warnings)
    assert (rows[3]["sex"], rows[3]["age"]) == ("F", "27")
    assert rows[3]["findings"] == "left lung upper lobe infiltrate. active TB"


def test_montgomery_combined_masks_are_indexed(tmp_path: Path) -> None:
    montgomery(tmp_path)
    put(tmp_path / "masks" / "MCUCXR_0001_0.png")
    report = index_dataset("montgomery", tmp_path, tmp_path / "labels.csv", folds=2)
    assert [row["mask"] for row in rows_of(tmp_path / "labels.csv")] == ["masks/MCUCXR_0001_0.png", "", "", ""]
    assert report.warnings == ()


@pytest.mark.parametrize(
    ("text", "reading"),
    [
        ("male 45yrs\nnormal", Reading("M", 45, "normal")),
        ("female  28 yrs \r\n\r\nbilateral PTB\r\n", Reading("F", 28, "bilateral PTB")),
        ("\nFemale, 3 yrs\nSTB", Reading("F", 3, "STB")),
        ("femal 32yrs\nnormal", Reading("F", 32, "normal")),
        ("male 16month\nnormal", Reading("M", 1, "normal")),
        ("female 64days\nnormal", Reading("F", 0, "normal")),
        ("male 30 yrs. left PTB, scar", Reading("M", 30, "left PTB, scar")),
        ("malignant nodule", Reading("", None, "malignant nodule")),
        ("male normal", Reading("M", None, "normal")),
        ("Patient's Sex: F \nPatient's Age: 027Y\nnormal", Reading("F", 27, "normal")),
        ("Patient's Sex: M\nPatient's Age: 006M\nmale breast shadow", Reading("M", 0, "male breast shadow")),
        ("", Reading()),
    ],
)
def test_readings_of_every_known_spelling(text: str, reading: Reading) -> None:
    assert parse_reading(text) == reading


@pytest.mark.parametrize(
    ("text", "years"),
    [("58", 58), ("077Y", 77), ("5M", 0), ("013D", 0), ("30w", 0), ("411", None), ("", None), ("old", None)],
)
def test_ages_become_whole_years(text: str, years: int | None) -> None:
    assert age_in_years(text) == years


def test_nih_rows_follow_the_official_lists(tmp_path: Path) -> None:
    nih(tmp_path)
    report = index_dataset("auto", tmp_path, tmp_path / "labels.csv", val_share=0.2)
    rows = rows_of(tmp_path / "labels.csv")
    assert rows[1] == {
        "file": "images_002/images/00000001_001.png",
        "label": "1",
        "dataset": "nih",
        "patient_id": "1",
        "split": rows[1]["split"],
        "sex": "F",
        "age": "58",
        "view_position": "PA",
        "finding_labels": "Mass|Nodule",
    }
    assert rows[0]["label"] == "0"
    assert rows[0]["finding_labels"] == "No Finding"
    assert {row["patient_id"] for row in rows if row["split"] == "test"} == {str(p) for p in range(5, 41, 5)}
    assert report.warnings == ()
    assert report.class_counts == {"normal": 60, "abnormal": 20}
    assert report.part_counts["test"] == {"normal": 12, "abnormal": 4}


def test_nih_validation_is_patient_disjoint_stratified_and_seeded(tmp_path: Path) -> None:
    nih(tmp_path)
    chosen = []
    for seed in (0, 0, 1):
        index_dataset("nih", tmp_path, tmp_path / "labels.csv", val_share=0.25, seed=seed, force=True)
        rows = rows_of(tmp_path / "labels.csv")
        assert all(len(splits) == 1 for splits in parts_of_patients(rows, "split").values())
        validation = {row["patient_id"] for row in rows if row["split"] == "val"}
        # Outside the test list 16 patients (even numbers) are always normal and 16 have findings.
        assert Counter(int(patient) % 2 for patient in validation) == {0: 4, 1: 4}
        chosen.append(validation)
    assert chosen[0] == chosen[1] != chosen[2]


def test_nih_table_of_2020_is_preferred_and_read_by_its_new_column_name(tmp_path: Path) -> None:
    nih(tmp_path)
    table = tmp_path / "Data_Entry_2017.csv"
    corrected = table.read_text().replace("Patient Gender", "Patient Sex").replace("Mass|Nodule", "Hernia")
    put(tmp_path / "Data_Entry_2017_v2020.csv", corrected)
    index_dataset("nih", tmp_path, tmp_path / "labels.csv")
    rows = rows_of(tmp_path / "labels.csv")
    assert {row["finding_labels"] for row in rows} == {"No Finding", "Hernia"}
    assert {row["sex"] for row in rows} == {"M", "F"}


def test_nih_without_lists_has_no_test_part_and_says_so(tmp_path: Path) -> None:
    nih(tmp_path, lists=False)
    report = index_dataset("nih", tmp_path, tmp_path / "labels.csv")
    assert set(report.part_counts) == {"train", "val"}
    assert any("nothing is split off as test" in warning for warning in report.warnings)


def test_nih_leftovers_are_listed_with_their_reasons(tmp_path: Path) -> None:
    nih(tmp_path)
    (tmp_path / "images_002" / "images" / "00000001_000.png").unlink()
    put(tmp_path / "images_001" / "images" / "99999999_000.png")
    put(tmp_path / "images_001" / "images" / "00000003_000.png")
    tests = tmp_path / "test_list.txt"
    tests.write_text(tests.read_text().replace("00000005_000.png", ""))
    report = index_dataset("nih", tmp_path, tmp_path / "labels.csv")
    assert {entry.name: entry.reason for entry in report.skipped} == {
        "00000001_000.png": "the image file is missing",
        "00000005_000.png": "in neither of the official lists",
        "99999999_000.png": "not in the table",
    }
    assert any("more than one folder" in warning and "00000003_000" in warning for warning in report.warnings)


def test_nih_refuses_lists_that_share_a_patient(tmp_path: Path) -> None:
    nih(tmp_path)
    tests = tmp_path / "test_list.txt"
    tests.write_text(tests.read_text() + "\n00000001_000.png")
    with pytest.raises(DatasetError, match="1 patients have images in both"):
        index_dataset("nih", tmp_path, tmp_path / "labels.csv")


def test_nih_refuses_half_a_split(tmp_path: Path) -> None:
    nih(tmp_path)
    (tmp_path / "train_val_list.txt").unlink()
    with pytest.raises(DatasetError, match=r"train_val_list\.txt is missing"):
        index_dataset("nih", tmp_path, tmp_path / "labels.csv")


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("Image Index,Labels\n", "lacks the columns Finding Labels, Patient ID"),
        ("", "lacks the columns"),
        (HEADER_2017 + "\n00000001_000.png,,0,1,058Y,M,PA,1,1,1,1,\n", "line 2 lacks"),
        (HEADER_2017 + "\n" + "00000001_000.png,Mass,0,1,058Y,M,PA,1,1,1,1,\n" * 2, "line 3 repeats"),
        (HEADER_2017 + "\nmissing.png,Mass,0,1,058Y,M,PA,1,1,1,1,\n", "none of the 1 images"),
    ],
)
def test_nih_refuses_a_damaged_table(tmp_path: Path, table: str, message: str) -> None:
    put(tmp_path / "Data_Entry_2017.csv", table)
    with pytest.raises(DatasetError, match=message):
        index_dataset("nih", tmp_path, tmp_path / "labels.csv")
    assert not (tmp_path / "labels.csv").exists()


def test_an_existing_label_file_is_kept_unless_forced(tmp_path: Path) -> None:
    shenzhen(tmp_path)
    output = tmp_path / "labels.csv"
    put(output, "precious")
    with pytest.raises(OutputError, match="exists already"):
        index_dataset("shenzhen", tmp_path, output)
    assert output.read_text() == "precious"
    index_dataset("shenzhen", tmp_path, output, force=True)
    assert len(rows_of(output)) == 40
    assert not list(tmp_path.glob(".cxr-edge-*"))


def test_an_unwritable_output_is_an_output_error(tmp_path: Path) -> None:
    shenzhen(tmp_path)
    with pytest.raises(OutputError):
        index_dataset("shenzhen", tmp_path, tmp_path / "missing" / "labels.csv")


def test_a_folder_that_is_no_release_is_a_dataset_error(tmp_path: Path) -> None:
    put(tmp_path / "file")
    for folder in (tmp_path, tmp_path / "absent", tmp_path / "file"):
        with pytest.raises(DatasetError) as raised:
            index_dataset("auto", folder, tmp_path / "labels.csv")
        assert raised.value.exit_code == 3


def test_two_releases_in_one_folder_need_a_name(tmp_path: Path) -> None:
    shenzhen(tmp_path)
    montgomery(tmp_path)
    with pytest.raises(UsageError, match="several releases"):
        index_dataset("auto", tmp_path, tmp_path / "labels.csv")
    report = index_dataset("montgomery", tmp_path, tmp_path / "labels.csv", folds=2)
    assert report.rows == 4
    assert report.skipped == ()


def test_a_fold_of_one_class_is_warned_about(tmp_path: Path) -> None:
    montgomery(tmp_path)
    report = index_dataset("montgomery", tmp_path, tmp_path / "labels.csv", folds=4)
    assert any("one class only" in warning for warning in report.warnings)


@pytest.mark.parametrize("arguments", [{"kind": "chexpert"}, {"folds": 1}, {"val_share": 1.0}, {"val_share": -0.1}])
def test_impossible_arguments_are_usage_errors(tmp_path: Path, arguments: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        index_dataset(**{"kind": "auto", "folder": tmp_path, "output": tmp_path / "labels.csv", **arguments})
