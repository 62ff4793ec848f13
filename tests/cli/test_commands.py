"""The command line as a user sees it: output, exit codes, one line of help, no traceback."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import onnxruntime
import pytest
from typer.testing import CliRunner, Result

import cxr_edge
from cxr_edge.cli.application import COMMANDS, app
from cxr_edge.engines import ENGINES
from cxr_edge.phantom import PhantomSpec, render
from cxr_edge.phantom.files import write_dicom, write_png

SPEC = PhantomSpec(height=300, width=260, bits_stored=12, seed=3)
FIELDS = {
    "path",
    "frame",
    "status",
    "probability",
    "label",
    "logit",
    "threshold",
    "operating_point",
    "engine",
    "precision",
    "device",
    "bundle",
    "released",
    "gate",
    "window",
    "lungs",
    "heatmap",
    "warnings",
    "input_sha256",
    "timings_ms",
    "error",
}


@pytest.fixture(scope="module", autouse=True)
def commands() -> None:
    from importlib import import_module

    for module in COMMANDS:
        import_module(f"cxr_edge.cli.{module}")


@pytest.fixture
def image(tmp_path: Path) -> Path:
    write_png(render(SPEC), tmp_path / "chest.png")
    return tmp_path / "chest.png"


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_one_image_gives_one_json_line_with_every_field(image: Path, tiny_bundle: Path) -> None:
    result = run("classify", image, "--bundle", tiny_bundle, "--json")
    assert result.exit_code == 0
    (line,) = result.stdout.splitlines()
    record = json.loads(line)
    assert set(record) == FIELDS
    assert record["status"] == "ok" and 0 <= record["probability"] <= 1
    assert set(record["timings_ms"]) == {"decode", "gate", "localise", "preprocess", "infer", "total"}


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("empty.png", b"", 3),
        ("text.png", b"hello, this is no image", 3),
        ("cut.png", None, 3),
        ("film.tif", b"II*\0" + bytes(60), 4),
    ],
)
def test_a_single_bad_input_gives_its_own_exit_code(
    image: Path, tiny_bundle: Path, tmp_path: Path, name: str, content: bytes | None, code: int
) -> None:
    path = tmp_path / name
    path.write_bytes(image.read_bytes()[:2000] if content is None else content)
    result = run("classify", path, "--bundle", tiny_bundle, "--json")
    assert result.exit_code == code
    record = json.loads(result.stdout)
    assert record["status"] == "error" and record["error"]["exit_code"] == code
    assert record["probability"] is None and record["label"] is None
    assert "Traceback" not in result.output


def test_a_refused_image_gives_5_and_its_reasons(tmp_path: Path, tiny_bundle: Path) -> None:
    write_png(render(PhantomSpec(height=100, width=100)), tmp_path / "small.png")
    result = run("classify", tmp_path / "small.png", "--bundle", tiny_bundle, "--json")
    assert result.exit_code == 5
    record = json.loads(result.stdout)
    assert record["status"] == "refused" and record["gate"]["reasons"]
    assert run("classify", tmp_path / "small.png", "--bundle", tiny_bundle, "--no-gate").exit_code == 0


def test_a_batch_with_a_bad_input_gives_10_and_a_line_for_each(image: Path, tiny_bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.dcm").write_bytes(bytes(200))
    result = run("classify", tmp_path, "--bundle", tiny_bundle, "--json")
    assert result.exit_code == 10
    records = [json.loads(line) for line in result.stdout.splitlines()]
    assert {Path(record["path"]).name: record["status"] for record in records} == {
        "broken.dcm": "error",
        "chest.png": "ok",
    }


def test_heatmaps_are_written_under_names_that_do_not_collide(tiny_bundle: Path, tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        write_png(render(SPEC), tmp_path / folder / "x.png")
    heatmaps = tmp_path / "heatmaps"
    result = run("classify", tmp_path / "a", tmp_path / "b", "--bundle", tiny_bundle, "--heatmap", heatmaps, "--json")
    assert result.exit_code == 0
    assert sorted(path.name for path in heatmaps.iterdir()) == ["x.png-2.heatmap.png", "x.png.heatmap.png"]
    assert {json.loads(line)["heatmap"] for line in result.stdout.splitlines()} == {
        str(path) for path in heatmaps.iterdir()
    }


def test_an_unwritable_heatmap_folder_is_9(image: Path, tiny_bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    result = run("classify", image, "--bundle", tiny_bundle, "--heatmap", tmp_path / "file" / "x")
    assert result.exit_code == 9
    assert "error:" in result.stderr


def test_a_tampered_bundle_is_6_and_a_missing_one_too(image: Path, tiny_bundle: Path, tmp_path: Path) -> None:
    broken = tmp_path / "bundle"
    shutil.copytree(tiny_bundle, broken)
    model = next(broken.glob("*.onnx"))
    data = bytearray(model.read_bytes())
    data[len(data) // 2] ^= 1
    model.write_bytes(data)
    assert run("classify", image, "--bundle", broken).exit_code == 6
    model.unlink()
    assert run("classify", image, "--bundle", broken).exit_code == 6
    assert run("classify", image, "--bundle", tmp_path / "nowhere").exit_code == 6


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (["--engine", "abacus"], 2),
        (["--engine", "native"], 7),
        (["--engine", "openvino"], 7),
        (["--engine", "tensorrt"], 7),
        (["--precision", "int8"], 7),
        (["--device", "cuda"], 7),
        (["--threads", "0"], 2),
        (["--operating-point", "best"], 2),
        (["--nonsense"], 2),
    ],
)
def test_bad_options_give_their_codes(image: Path, tiny_bundle: Path, options: list[str], code: int) -> None:
    result = run("classify", image, "--bundle", tiny_bundle, *options)
    assert result.exit_code == code
    assert "Traceback" not in result.output


def test_debug_shows_the_traceback_and_keeps_the_exit_code(image: Path, tmp_path: Path) -> None:
    result = run("classify", image, "--bundle", tmp_path / "nowhere", "--debug")
    assert result.exit_code == 6
    assert "Traceback" in result.stderr and result.stderr.splitlines()[-1].startswith("error: ")


def test_the_version_is_told() -> None:
    result = run("--version")
    assert result.exit_code == 0
    assert result.stdout == f"cxr-edge {cxr_edge.__version__}\n"


def test_a_sentence_of_the_help_is_broken_only_where_the_line_is_full() -> None:
    text = CliRunner().invoke(app, ["classify", "--help"], env={"COLUMNS": "100"}).stdout
    start = text.index("Exit code 0")
    lines = text[start : text.index("any was not.")].splitlines()
    assert len(lines) == 2


def test_the_device_option_offers_what_engines_run_on_and_nothing_else() -> None:
    text = CliRunner().invoke(app, ["classify", "--help"], env={"COLUMNS": "200"}).stdout
    offered = text.partition("Where to compute: ")[2].partition(";")[0]
    assert set(offered.split(", ")) == {device for row in ENGINES for device in row.devices}


def test_self_test_passes_and_fails_with_11_when_the_expected_logit_is_another(
    tiny_bundle: Path, tmp_path: Path
) -> None:
    assert run("self-test", "--bundle", tiny_bundle).exit_code == 0
    other = tmp_path / "bundle"
    shutil.copytree(tiny_bundle, other)
    manifest = json.loads((other / "manifest.json").read_text())
    manifest["golden"]["logit"]["fp32"][0] += 1.0
    (other / "manifest.json").write_text(json.dumps(manifest))
    result = run("self-test", "--bundle", other)
    assert result.exit_code == 11 and "FAILED" in result.output


def test_info_says_what_is_installed(tiny_bundle: Path) -> None:
    record = json.loads(run("info", "--bundle", tiny_bundle, "--json").stdout)
    assert record["preprocessing"].split()[0] in ("native", "numpy")
    assert {"name": "onnxruntime", "version": onnxruntime.__version__}.items() <= record["engines"][-1].items()
    assert "onnxruntime" in run("info", "--bundle", tiny_bundle).stdout


def test_demo_writes_samples_and_heatmaps(tiny_bundle: Path, tmp_path: Path) -> None:
    result = run("demo", "--bundle", tiny_bundle, "--output", tmp_path / "demo")
    assert result.exit_code == 0, result.output
    assert len(list((tmp_path / "demo").glob("phantom-*"))) == 4
    assert len(list((tmp_path / "demo" / "heatmaps").glob("*.heatmap.png"))) == 4


@pytest.mark.parametrize("module", COMMANDS)
def test_every_help_states_research_use(module: str) -> None:
    result = run(module.replace("_", "-"), "--help")
    assert result.exit_code == 0
    assert "Research use only" in result.stdout


def test_evaluate_wants_data_or_run_not_both(tmp_path: Path) -> None:
    assert run("evaluate").exit_code == 2
    assert run("evaluate", "--data", tmp_path / "a.csv", "--run", tmp_path).exit_code == 2
    assert run("evaluate", "--data", tmp_path / "a.csv").exit_code == 3
    assert run("evaluate", "--run", tmp_path).exit_code == 3


def test_evaluate_prints_figures_and_pictures_for_unseen_images(tiny_bundle: Path, tmp_path: Path) -> None:
    rows = ["file,label,sex"]
    for seed in range(6):
        write_png(
            render(PhantomSpec(height=256, width=256, seed=seed, abnormal=seed % 2 == 1)), tmp_path / f"{seed}.png"
        )
        rows.append(f"{seed}.png,{seed % 2},{'M' if seed < 3 else 'F'}")
    (tmp_path / "labels.csv").write_text("\n".join(rows) + "\n")
    pictures = tmp_path / "pictures"
    result = run(
        "evaluate",
        "--data",
        tmp_path / "labels.csv",
        "--bundle",
        tiny_bundle,
        "--subgroup",
        "sex",
        "--pictures",
        pictures,
    )
    assert result.exit_code == 0, result.output
    assert "AUC" in result.stdout and "by sex" in result.stdout
    assert {path.name for path in pictures.iterdir()} == {"roc.png", "reliability.png"}


def test_no_patient_data_reaches_any_output(tiny_bundle: Path, tmp_path: Path) -> None:
    """A name and an id are planted in a good and in a damaged file; neither may be echoed anywhere."""
    import pydicom

    write_dicom(render(SPEC), tmp_path / "good.dcm")
    dataset = pydicom.dcmread(tmp_path / "good.dcm")
    dataset.PatientName, dataset.PatientID = "Planted^Name", "PLANTED-ID"
    dataset.save_as(tmp_path / "good.dcm")
    (tmp_path / "cut.dcm").write_bytes((tmp_path / "good.dcm").read_bytes()[:-5000])
    result = run("classify", tmp_path, "--bundle", tiny_bundle, "--json", "--heatmap", tmp_path / "heatmaps")
    assert result.exit_code == 10
    assert "planted" not in result.output.lower()


@pytest.mark.skipif(os.name != "posix", reason="POSIX signals")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_ends_a_batch_cleanly(tiny_bundle: Path, image: Path, number: int, code: int) -> None:
    program = "from cxr_edge.cli import main; main()"
    arguments = ["classify", *[str(image)] * 2000, "--bundle", str(tiny_bundle), "--json"]
    process = subprocess.Popen(
        [sys.executable, "-c", program, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).resolve().parents[2],
    )
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(number)
    started = time.monotonic()
    output, errors = process.communicate(timeout=60)
    assert process.returncode == code
    assert "Traceback" not in errors
    assert all(json.loads(line)["status"] == "ok" for line in output.splitlines())
    assert time.monotonic() - started < 30
