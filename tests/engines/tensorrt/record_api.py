"""Records what the real Python bindings offer: names, parameters and return types, as JSON that the tests compare with.

    python record_api.py tensorrt_cu13_bindings==11.4.0.106 DOWNLOADS OUTPUT.json
    python record_api.py pycuda==2026.1 DOWNLOADS OUTPUT.json

The wheel (for PyCUDA the source distribution) is looked for in DOWNLOADS and fetched by pip where it is missing.
TensorRT's own libraries are not needed: the bindings import over a stub with the nine C functions that they ask for,
and nothing is run. Only facts are recorded; docstrings and code stay where they are.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path
from typing import Any

C_FUNCTIONS = (
    "createInferBuilder_INTERNAL",
    "createInferRefitter_INTERNAL",
    "createInferRuntime_INTERNAL",
    "createNvOnnxParser_INTERNAL",
    "createNvOnnxParserRefitter_INTERNAL",
    "getNvOnnxParserVersion",
    "getPluginRegistry",
    "getBuilderPluginRegistry",
    "initLibNvInferPlugins",
)

CLASSES = (
    "Builder",
    "EngineInspector",
    "IBuilderConfig",
    "ICudaEngine",
    "IExecutionContext",
    "IHostMemory",
    "ILogger",
    "INetworkDefinition",
    "IOptimizationProfile",
    "IProgressMonitor",
    "ITensor",
    "ITimingCache",
    "OnnxParser",
    "ParserError",
    "Runtime",
)
ENUMS = (
    "BuilderFlag",
    "DataType",
    "HardwareCompatibilityLevel",
    "LayerInformationFormat",
    "MemoryPoolType",
    "NetworkDefinitionCreationFlag",
    "ProfilingVerbosity",
    "TensorIOMode",
)

# Runs in a child process with the stub on its library path.
PROBE = r"""
import json, re, sys
import tensorrt_bindings as bindings

def signatures(function):
    found = []
    for line in (function.__doc__ or "").splitlines():
        match = re.match(r"(?:\d+\. )?\w+\(([^)]*)\) -> (.+)$", line.strip())
        if match and match[1] != "*args, **kwargs":
            text = re.sub(r"\[[^\[\]]*(\[[^\[\]]*\])?[^\[\]]*\]", "", match[1])
            names = [part.split(":")[0].strip() for part in text.split(",")]
            returned = match[2].strip().rsplit(".", 1)[-1]
            found.append(", ".join(name for name in names if name and name != "self") + " -> " + returned)
    return sorted(set(found))

def described(cls):
    methods, properties = {}, []
    for name in sorted(dir(cls)):
        value = getattr(cls, name)
        if name.startswith("_") and name != "__init__" or isinstance(value, type) or hasattr(value, "value"):
            continue
        if isinstance(value, property):
            properties.append(name)
        elif callable(value) and (name != "__init__" or signatures(value)):
            methods[name] = signatures(value)
    return {"methods": methods, "properties": properties}

classes, enums = sys.argv[1].split(","), sys.argv[2].split(",")
print(json.dumps({
    "version": bindings.__version__,
    "classes": {name: described(getattr(bindings, name)) for name in classes},
    "enums": {
        **{name: sorted(getattr(bindings, name).__members__) for name in enums},
        "ILogger.Severity": sorted(bindings.ILogger.Severity.__members__),
    },
}))
"""


def recorded(requirement: str, downloads: Path) -> dict[str, Any]:
    """What the package of a pinned requirement offers."""
    package = downloaded(requirement, downloads)
    with tempfile.TemporaryDirectory() as scratch:
        if requirement.startswith("pycuda"):
            return recorded_pycuda(package, requirement.split("==")[1])
        return recorded_tensorrt(package, Path(scratch))


def downloaded(requirement: str, downloads: Path) -> Path:
    """The package's file, fetched where it is not there yet."""
    name, version = requirement.split("==")
    found = sorted(downloads.glob(f"{name}-{version}*"))
    found = [path for path in found if path.is_file()]
    if not found:
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
        kind = ["--no-binary", ":all:", "--no-build-isolation"] if name == "pycuda" else ["--only-binary", ":all:"]
        impatient = ["--retries", "0", "--timeout", "10"]
        command = [*pip, *kind, *impatient, "--dest", str(downloads), requirement]
        subprocess.run(command, check=True, capture_output=True, timeout=90)
        found = sorted(downloads.glob(f"{name}-{version}*"))
    return found[0]


def recorded_tensorrt(wheel: Path, scratch: Path) -> dict[str, Any]:
    zipfile.ZipFile(wheel).extractall(scratch / "wheel")
    major = wheel.name.split("-")[1].split(".")[0]
    stub_libraries(scratch / "lib", major)
    environment = {**os.environ, "LD_LIBRARY_PATH": str(scratch / "lib"), "PYTHONPATH": str(scratch / "wheel")}
    command = [sys.executable, "-c", PROBE, ",".join(CLASSES), ",".join(ENUMS)]
    output = subprocess.run(command, env=environment, check=True, capture_output=True, text=True, timeout=60)
    listing: dict[str, Any] = json.loads(output.stdout)
    return listing


def stub_libraries(directory: Path, major: str) -> None:
    """Libraries that hold no more of TensorRT than the names that its bindings look up."""
    directory.mkdir()
    source = directory / "stub.c"
    source.write_text("".join(f"void *{name}(void) {{ return 0; }}\n" for name in C_FUNCTIONS))
    for name in ("nvinfer", "nvinfer_plugin", "nvonnxparser"):
        file = f"lib{name}.so.{major}"
        command = ["cc", "-shared", "-fPIC", f"-Wl,-soname,{file}", "-o", str(directory / file), str(source)]
        subprocess.run(command, check=True, capture_output=True)


def recorded_pycuda(archive: Path, version: str) -> dict[str, Any]:
    """What ``pycuda.driver`` offers, read from the C++ source of its bindings."""
    with tarfile.open(archive) as tar:
        source = tar.extractfile(f"pycuda-{version}/src/wrapper/wrap_cudadrv.cpp")
        assert source is not None
        text = source.read().decode()
    classes: dict[str, Any] = {}
    bases: dict[str, str] = {}
    functions: dict[str, Any] = {}
    # Each class is followed by its members up to the next class or to a function of the module.
    current: str | None = None
    token = re.compile(
        r'class_<(?P<generic>[^"]*?)>\s*(?:wrp|cls)?\s*\(\s*"(?P<cls>\w+)"'
        r'|enum_<[^>]*>\("(?P<enum>\w+)"\)'
        r'|py::def\(\s*"(?P<function>\w+)"(?P<rest>.*?);'
        r"|DEF_SIMPLE_FUNCTION(?:_WITH_ARGS)?\((?P<simple>\w+)"
        r'|\.def\(\s*"(?P<method>\w+)"|DEF_SIMPLE_METHOD(?:_WITH_ARGS)?\((?P<method2>\w+)\)'
        r'|\.add_property\("(?P<property>\w+)"|cls\.attr\("(?P<attribute>\w+)"\)|\.value\("(?P<value>\w+)"'
        r"|DECLARE_EXC\((?P<exception>\w+)",
        re.S,
    )
    for match in token.finditer(text):
        found = match.groupdict()
        if found["cls"] or found["enum"]:
            current = found["cls"] or found["enum"]
            classes[current] = {"methods": {}, "properties": []}
            if "bases<host_pointer>" in (found["generic"] or ""):
                bases[current] = "HostPointer"
        elif found["function"]:
            names = re.findall(r'"(\w+)"', re.sub(r'="\w*"', "", found["rest"]))
            functions[found["function"]] = [", ".join(names) + " -> object"] if names else []
        elif found["simple"]:
            functions[found["simple"]] = []
        elif found["exception"]:
            classes[found["exception"]] = {"methods": {}, "properties": []}
        elif current:
            method = found["method"] or found["method2"]
            if method:
                classes[current]["methods"][method] = []
            else:
                classes[current]["properties"].append(found["property"] or found["attribute"] or found["value"])
    for name, base in bases.items():
        classes[name]["methods"] |= classes[base]["methods"]
    wanted = ("Device", "Context", "Stream", "DeviceAllocation", "PagelockedHostAllocation", "host_alloc_flags")
    errors = ("Error", "MemoryError", "LogicError", "LaunchError", "RuntimeError")
    return {
        "version": version,
        "classes": {name: classes[name] for name in (*wanted, *errors)},
        "functions": dict(sorted(functions.items())),
    }


if __name__ == "__main__":
    requirement, folder, output = sys.argv[1:]
    listing = recorded(requirement, Path(folder))
    Path(output).write_text(json.dumps(listing, indent=1, sort_keys=True) + "\n")
