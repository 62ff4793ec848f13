from __future__ import annotations

import json
import platform
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from cxr_edge.bench.environment import Machine, commit, cpu_model_and_flags, this_machine
from cxr_edge.bundle import open_bundle


def test_the_machine_is_described_without_its_name(tiny_bundle: Path) -> None:
    machine = this_machine(open_bundle(tiny_bundle))
    text = json.dumps(machine.to_json())
    assert Machine.from_json(json.loads(text)) == machine
    assert machine.cpu and machine.versions["numpy"] and machine.bundle.startswith("tiny 1 ")
    assert len(platform.node()) < 4 or platform.node() not in text


def test_machines_that_differ_say_in_what(machine: Machine) -> None:
    other = replace(machine, python="3.12.0", flags=("avx512f",))
    assert machine.differences(other) == ("flags", "python: 3.11.2 -> 3.12.0")
    assert machine.identity != other.identity and machine.differences(machine) == ()


@pytest.mark.parametrize(
    ("cpuinfo", "board", "expected"),
    [
        ("model name\t: Fast CPU 9\nflags\t\t: sse2 avx2\n", None, ("Fast CPU 9", ("avx2", "sse2"))),
        ("Features\t: fp asimd\n", "Some Board\0", ("Some Board", ("asimd", "fp"))),
    ],
)
def test_cpu_names_of_both_architectures(
    tmp_path: Path, cpuinfo: str, board: str | None, expected: tuple[str, tuple[str, ...]]
) -> None:
    (tmp_path / "cpuinfo").write_text(cpuinfo)
    if board:
        (tmp_path / "model").write_text(board)
    assert cpu_model_and_flags(tmp_path / "cpuinfo", tmp_path / "model") == expected


def test_a_checkout_with_changes_is_marked_and_a_wheel_has_no_commit(tmp_path: Path) -> None:
    assert commit(tmp_path) is None
    identity = ("-c", "user.name=t", "-c", "user.email=t@example.org")
    (tmp_path / "file").write_text("1")
    for command in (("init", "-q"), ("add", "file"), (*identity, "commit", "-qm", "m")):
        subprocess.run(("git", "-C", str(tmp_path), *command), check=True)
    clean = commit(tmp_path)
    assert clean is not None and len(clean) == 12
    (tmp_path / "file").write_text("2")
    assert commit(tmp_path) == clean + "+"
