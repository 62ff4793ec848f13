"""A bundle on another hospital's images: figures of their own, never mixed with those of its release fold."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tiny_run import TinyRun, write_labels

from cxr_edge.bundle import open_bundle
from cxr_edge.errors import DatasetError, SeenDataError, UsageError
from cxr_edge.phantom import PhantomSpec, phantom
from cxr_edge.phantom.files import png_bytes
from export import draft
from export.external import read_external
from export.release import ExportReport, export_run
from export.release_options import ReleaseOptions

OPTIONS = ReleaseOptions(name="tiny", version="3", precisions=("fp32",), range_images=8, force=True)
"""Forced: four images of a network that has learnt nothing hold no limit of the parity gate."""


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """Eight images that no tiny run has seen, half of them AP views."""
    return hospital(tmp_path / "elsewhere")


def hospital(folder: Path, *, first: int = 500, too_small: int = 0, **changes: object) -> Path:
    """A label file of phantoms whose seeds begin at ``first``; the last few have too few pixels for the gate."""
    folder.mkdir()
    rows: list[dict[str, object]] = []
    for number in range(8):
        side = 100 if number >= 8 - too_small else 224
        spec = PhantomSpec(height=side, width=side, bits_stored=8, seed=first + number, abnormal=number % 2 == 1)
        (folder / f"{number}.png").write_bytes(png_bytes(phantom(spec)))
        view = "PA" if number < 4 else "AP"
        rows.append({"file": f"{number}.png", "label": number % 2, "view_position": view, "split": "val", **changes})
    return write_labels(folder / "labels.csv", rows)


def export(run: TinyRun, destination: Path, **changes: Any) -> ExportReport:
    return export_run(run.directory, run.labels, destination, replace(OPTIONS, **changes))


def test_they_stand_in_manifest_and_card_beside_the_bundles_own_which_stay_the_same(
    tiny_run: TinyRun, elsewhere: Path, tmp_path: Path
) -> None:
    export(tiny_run, tmp_path / "alone")
    asked = f"{elsewhere}@split=val"
    report = export(
        tiny_run, tmp_path / "both", external_data=(asked,), external_subgroups=("view_position",), subgroups=("view",)
    )
    alone, both = (open_bundle(tmp_path / name).manifest.evidence for name in ("alone", "both"))
    assert alone["bundle_on_external_data"] == []
    own = dict(both["bundle_on_release_fold"])
    assert own.pop("subgroups")[0]["column"] == "view"
    assert own == {key: value for key, value in alone["bundle_on_release_fold"].items() if key != "subgroups"}
    assert both["recipe_cross_validated"] == alone["recipe_cross_validated"]

    (found,) = both["bundle_on_external_data"]
    (figures,) = report.external
    assert found["data"] == {"name": "elsewhere/labels.csv", "sha256": figures.sha256, "where": ["split=val"]}
    assert (found["images"], found["refused"], found["precision"]) == (8, 0, "fp32")
    (table,) = found["subgroups"]
    assert [(group["name"], group["images"]) for group in table["subgroups"]] == [("AP", 4), ("PA", 4)]

    card = (tmp_path / "both" / "MODEL_CARD.md").read_text()
    before, after = card.split("### Elsewhere")
    assert "`elsewhere/labels.csv` where split=val:" in after and "by view_position" in after
    assert str(figures.evaluation.brier) in after and str(figures.evaluation.brier) not in before
    assert "by view_position" not in before
    assert "### Elsewhere" not in (tmp_path / "alone" / "MODEL_CARD.md").read_text()


def test_images_that_the_gate_refuses_are_counted_and_not_in_the_figures(tiny_run: TinyRun, tmp_path: Path) -> None:
    data = hospital(tmp_path / "small", too_small=2)
    (figures,) = export(tiny_run, tmp_path / "bundle", external_data=(str(data),)).external
    assert (figures.refused, figures.evaluation.images) == (2, 6)
    card = (tmp_path / "bundle" / "MODEL_CARD.md").read_text()
    assert "`small/labels.csv`; 2 more were refused by the input gate:" in card


def test_an_image_that_cannot_be_read_is_not_left_out_silently(
    tiny_run: TinyRun, elsewhere: Path, tmp_path: Path
) -> None:
    (elsewhere.parent / "3.png").write_bytes(b"no image")
    with pytest.raises(DatasetError, match="1 external images cannot be read"):
        export(tiny_run, tmp_path / "bundle", external_data=(str(elsewhere),))
    assert not (tmp_path / "bundle").exists()


@pytest.mark.parametrize(("fold", "says"), [("0", "are of the release fold"), ("1", "train: 4 images")])
def test_images_that_are_the_bundles_own_are_refused(tiny_run: TinyRun, tmp_path: Path, fold: str, says: str) -> None:
    with pytest.raises(SeenDataError, match=says):
        export(tiny_run, tmp_path / "bundle", external_data=(f"{tiny_run.labels}@fold={fold},view=PA",))
    assert list(tmp_path.iterdir()) == []


def test_int8_ranges_never_come_from_them(tiny_run: TinyRun, elsewhere: Path, tmp_path: Path) -> None:
    with pytest.raises(SeenDataError, match="range images"):
        export(
            tiny_run,
            tmp_path / "bundle",
            precisions=("fp32", "int8"),
            ranges_data=elsewhere,
            external_data=(str(elsewhere),),
        )


@pytest.mark.parametrize(
    ("changes", "subgroup", "error", "says"),
    [
        ({}, "site", UsageError, "--external-subgroup site: no column of that name in elsewhere/labels.csv"),
        ({"label": ""}, "view_position", DatasetError, "no label in column 'label'"),
    ],
    ids=["no such column", "no labels"],
)
def test_what_cannot_be_tabulated_is_found_before_any_work(
    tiny_run: TinyRun,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    changes: dict[str, object],
    subgroup: str,
    error: type[Exception],
    says: str,
) -> None:
    monkeypatch.setattr(draft, "load_checkpoint", lambda path: pytest.fail("began to export"))
    data = hospital(tmp_path / "elsewhere", **changes)
    with pytest.raises(error, match=says):
        export(tiny_run, tmp_path / "bundle", external_data=(str(data),), external_subgroups=(subgroup,))


def test_a_subgroup_without_external_data_is_refused() -> None:
    with pytest.raises(UsageError, match="no column of that name in any --external-data"):
        read_external((), ("view_position",))


def test_each_file_is_tabulated_by_the_columns_that_it_has(tiny_run: TinyRun, elsewhere: Path, tmp_path: Path) -> None:
    other = hospital(tmp_path / "other", first=900, site="north")
    report = export(
        tiny_run,
        tmp_path / "bundle",
        external_data=(str(elsewhere), str(other)),
        external_subgroups=("view_position", "site"),
    )
    columns = [[table.column for table in figures.evaluation.subgroups] for figures in report.external]
    assert columns == [["view_position"], ["view_position", "site"]]
