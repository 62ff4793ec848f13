"""What a report looks like as JSON, as text and as a page."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from parity_case import FEW_IMAGES, ParityCase, with_initializer, write_parity_bundle
from PIL import Image

from cxr_edge.bundle import open_bundle
from cxr_edge.evaluation.parity import (
    ParityReport,
    measure_parity,
    parity_html,
    parity_images,
    parity_text,
    report_json,
    summary_json,
)

VOID = {"meta", "br", "img", "line", "circle", "rect", "polyline"}


@pytest.fixture(scope="module")
def broken(case: ParityCase, tmp_path_factory: pytest.TempPathFactory) -> ParityReport:
    """A damaged model, judged by limits of which one is looser than usual."""
    path = tmp_path_factory.mktemp("broken") / "b"
    damaged = with_initializer(case.int8, "stem.scale", 4.0)
    write_parity_bundle(path, case, damaged, tolerances=replace(FEW_IMAGES, cam_median_r=0.1))
    return measure_parity(open_bundle(path), parity_images([case.labels]), threads=1)


@pytest.fixture(scope="module")
def page(broken: ParityReport) -> str:
    return parity_html(broken).decode()


def test_the_record_is_versioned_json_with_every_image(broken: ParityReport) -> None:
    record = json.loads(json.dumps(report_json(broken), allow_nan=False))
    assert record["schema"] == 1
    assert record["passed"] is False
    assert len(record["images"]) == 48
    image = record["images"][5]
    assert image["name"].endswith("/images/5.png")
    assert image["logit"] == [broken.reference_outputs.logits[5], broken.comparisons[0].outputs.logits[5]]
    assert (
        record["data"][0]["sha256"]
        == hashlib.sha256((Path(broken.images[0].path).parents[1] / "labels.csv").read_bytes()).hexdigest()
    )
    assert record["models"]["int8"] == broken.models["int8"]


def test_flips_are_named_with_both_logits(broken: ParityReport) -> None:
    (comparison,) = report_json(broken)["comparisons"]
    assert len(comparison["flipped"]) == len(broken.comparisons[0].agreement.flips) > 0
    for flip in comparison["flipped"]:
        before, after = flip["logit"]
        threshold = broken.operating_point.logit_threshold
        assert (before >= threshold) != (after >= threshold)


def test_a_record_that_leaves_the_house_names_no_file(broken: ParityReport) -> None:
    text = json.dumps(report_json(broken, named=False))
    assert ".png" not in text
    assert hashlib.sha256(broken.images[0].path.read_bytes()).hexdigest()[:16] in text


def test_the_summary_is_the_record_without_single_images(broken: ParityReport) -> None:
    summary, record = summary_json(broken), report_json(broken)
    assert "images" not in summary
    assert ".png" not in json.dumps(summary)
    for figures, full in zip(summary["comparisons"], record["comparisons"], strict=True):
        assert figures == {key: value for key, value in full.items() if key != "flipped"}


def test_the_text_says_what_holds(report: ParityReport) -> None:
    text = parity_text(report)
    assert "every limit holds" in text
    assert re.search(r"^onnxruntime int8 .* holds$", text, re.MULTILINE)
    assert "BROKEN" not in text


def test_the_text_says_what_is_broken_with_value_limit_and_names(broken: ParityReport) -> None:
    text = parity_text(broken)
    assert "LIMITS ARE BROKEN" in text
    assert re.search(r"onnxruntime int8: BROKEN: largest \|Δp\| is 0\.\d+, allowed at most 0\.05", text)
    assert "looser than usual: " in text
    assert "decision flipped: " in text


def test_a_stamp_stands_first_everywhere(report: ParityReport) -> None:
    stamped = replace(report, stamp="seen in training: not evidence")
    assert parity_text(stamped).startswith("*** seen in training: not evidence ***")
    assert report_json(stamped)["stamp"] == "seen in training: not evidence"
    page = parity_html(stamped).decode()
    assert page.index("seen in training") < page.index("Every measured limit holds")
    assert "that nothing was fitted on" not in page


class Balance(HTMLParser):
    """Checks that every tag is closed in order, and remembers what the page would load."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.loads: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.loads += [value or "" for name, value in attrs if name in ("src", "href", "srcset")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag


def test_the_page_is_well_formed_and_loads_nothing(page: str) -> None:
    parser = Balance()
    parser.feed(page)
    assert parser.open == []
    assert all(address.startswith(("data:image/jpeg;base64,", "#")) for address in parser.loads)
    assert "<script" not in page
    assert "http" not in page.replace("http-equiv", "")


def test_the_page_has_verdict_tables_charts_pictures_and_explanation(page: str, broken: ParityReport) -> None:
    limits = len(broken.comparisons[0].broken)
    assert page.index(f"{limits} limits broken") < page.index("At a glance") < page.index("How to read it")
    for check in broken.comparisons[0].checks:
        assert check.title.replace("&", "&amp;") in page
    assert page.count("<svg") == 4
    assert page.count("<img") == 30
    assert "looser than usual" in page
    for position in broken.comparisons[0].agreement.flips:
        assert broken.names[position] in page


def test_pictures_can_be_decoded_and_differ_between_the_models(page: str) -> None:
    found = re.findall(r'src="data:image/jpeg;base64,([^"]+)"', page)
    pictures = [Image.open(io.BytesIO(base64.b64decode(data))) for data in found]
    assert {picture.size for picture in pictures} == {(224, 224)}
    assert found[1] != found[2]


def test_one_class_still_gives_a_page(bundle: object, labels: Path) -> None:
    report = measure_parity(bundle, parity_images([labels], ("label=0",)), threads=1)  # type: ignore[arg-type]
    page = parity_html(report).decode()
    assert "could not be checked" in page
    assert page.count("<svg") == 3


def test_text_from_label_files_is_escaped(report: ParityReport) -> None:
    evil = "<img src=x onerror=alert(1)>"
    images = tuple(replace(image, columns={**image.columns, "file": evil}) for image in report.images)
    page = parity_html(replace(report, images=images)).decode()
    assert evil not in page
    assert "&lt;img src=x onerror=alert(1)&gt;" in page
