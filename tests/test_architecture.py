"""The house's rules: imports go one way, no workstation code on the device side, these public names."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

import cxr_edge

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "cxr_edge"

# A room may import from its own row and from the rows above it, never from those below.
FLOORS: tuple[frozenset[str], ...] = (
    frozenset({"records", "errors", "__init__"}),
    frozenset({"atomic", "row_filter", "colour_scale"}),
    frozenset({"decode", "preprocess", "probability", "gate", "heatmap", "labels", "phantom", "regions"}),
    frozenset({"lung_shape", "lungs", "evidence_share"}),
    frozenset({"bundle", "data_use"}),
    frozenset({"engines"}),
    frozenset({"result", "self_test", "installation", "demo"}),
    frozenset({"classifier", "batch"}),
    frozenset({"evaluation", "bench"}),
    frozenset({"cli"}),
)
WORKSTATION = {"torch", "monai", "onnx", "sklearn", "training", "calibration", "export"}


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def imported(path: Path) -> list[str]:
    """Dotted names of everything a module imports, also inside functions and under TYPE_CHECKING."""
    names = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    return names


def floor_of(room: str) -> int:
    return next(number for number, rooms in enumerate(FLOORS) if room in rooms)


def room_of(path: Path) -> str:
    part = path.relative_to(PACKAGE).parts[0]
    return part.removesuffix(".py")


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_one_way(path: Path) -> None:
    if path == PACKAGE / "__init__.py":
        return  # it names every room's public face, lazily
    here = floor_of(room_of(path))
    for name in imported(path):
        parts = name.split(".")
        if parts[0] != "cxr_edge" or len(parts) < 2 or parts[1] in ("__version__", "_native"):
            continue
        if not (PACKAGE / parts[1]).is_dir() and not (PACKAGE / f"{parts[1]}.py").is_file():
            continue  # a public name taken from the package itself
        assert floor_of(parts[1]) <= here, f"{path.relative_to(ROOT)} imports {name}, which is built on top of it"


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_the_device_side_never_imports_the_workstation_side(path: Path) -> None:
    assert not {name.split(".")[0] for name in imported(path)} & WORKSTATION


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_runtimes_are_imported_only_inside_their_adapters(path: Path) -> None:
    if {"onnxruntime", "openvino", "tensorrt", "pycuda"} & {name.split(".")[0] for name in imported(path)}:
        # The localiser is one fixed FP32 model on one runtime, whichever engine classifies.
        assert path.relative_to(PACKAGE).parts[0] in ("engines", "lungs.py")


def test_every_room_has_a_floor() -> None:
    rooms = {room_of(path) for path in modules()}
    assert rooms <= set().union(*FLOORS)


def test_public_names_are_sorted_importable_and_complete() -> None:
    assert cxr_edge.__all__ == sorted(cxr_edge.__all__)
    for name in cxr_edge.__all__:
        assert getattr(cxr_edge, name) is not None
    assert set(cxr_edge.__all__) == {
        "Box",
        "Classifier",
        "CxrEdgeError",
        "DecodeLimits",
        "Frame",
        "Radiograph",
        "Result",
        "Window",
        "__version__",
    }


def test_an_unknown_public_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Klassifier'"):
        _ = cxr_edge.Klassifier


def loaded_modules(program: str) -> set[str]:
    """Top-level modules in a fresh interpreter after running a program."""
    code = f"{program}\nimport json, sys\nprint(json.dumps(sorted({{name.split('.')[0] for name in sys.modules}})))"
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    return set(json.loads(output.stdout.splitlines()[-1]))


def test_a_full_classify_loads_no_workstation_module() -> None:
    program = (
        "from cxr_edge import Classifier\n"
        "from cxr_edge.phantom import PhantomSpec, phantom\n"
        "with Classifier.open() as c: assert c.classify(phantom(PhantomSpec(512, 512))).status == 'ok'"
    )
    assert not loaded_modules(program) & WORKSTATION


def test_importing_the_package_loads_neither_numpy_nor_a_runtime() -> None:
    assert not loaded_modules("import cxr_edge") & {"numpy", "onnxruntime", "pydicom", "PIL"}


def test_the_version_is_that_of_the_project() -> None:
    line = next(line for line in (ROOT / "pyproject.toml").read_text().splitlines() if line.startswith("version = "))
    assert line == f'version = "{cxr_edge.__version__}"'
