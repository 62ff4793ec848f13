"""The peers' table and the ways that need nothing beyond the test extra; their speed is no test's business."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from benchmarks.peers.jobs import INPUTS, all_jobs
from benchmarks.peers.table import PEERS, Peer, peer_of
from cxr_edge.bench.cell import CellRequest, Plan
from cxr_edge.bench.grid import OWN, STAGES
from cxr_edge.bench.models import find_models
from cxr_edge.bench.samples import make_samples
from cxr_edge.bundle import open_bundle
from cxr_edge.preprocess import reference
from cxr_edge.preprocess.spec import PreprocessSpec
from cxr_edge.records import Frame, Radiograph

SIDE = 900


@pytest.fixture(scope="session")
def frame(tmp_path_factory: pytest.TempPathFactory) -> Path:
    (sample,), _ = make_samples(("frame",), SIDE, SIDE, tmp_path_factory.mktemp("peers"))
    return sample.path


@pytest.mark.parametrize("peer", PEERS, ids=lambda peer: f"{peer.way}, {peer.stage}, {peer.input}")
def test_every_row_has_its_preparer_and_is_found_by_its_cell(peer: Peer) -> None:
    assert callable(getattr(import_module(f"benchmarks.peers.{peer.module}"), peer.function))
    assert peer.stage in STAGES and peer_of(peer.cell(2, "300x300x16")) is peer
    assert peer.cell(2, None).way != OWN


def test_no_two_peers_share_a_cell() -> None:
    cells = [peer.cell(2, "300x300x16") for peer in PEERS]
    assert len(cells) == len(set(cells))


@pytest.mark.parametrize(
    ("function", "tolerance"),
    [
        ("opencv_area", 2e-3),
        ("torch_antialias", 0.3),
        ("pillow_box", 0.3),
        ("pillow_reduce", 0.3),
        ("scikit_image", 0.3),
    ],
)
def test_every_resizer_shows_nearly_the_picture_that_we_do(
    frame: Path, tiny_bundle: Path, tmp_path: Path, function: str, tolerance: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fast wrong way must not win the comparison."""
    module = import_module("benchmarks.peers.resizers")
    peer = next(peer for peer in PEERS if peer.function == function)
    for needed in peer.needs:
        pytest.importorskip(needed)
    seen: list[np.ndarray] = []
    normalised = module.normalised
    monkeypatch.setattr(module, "normalised", lambda small: seen.append(normalised(small)))
    request = CellRequest(peer.cell(1, None), Plan(1), 0, str(frame), str(tiny_bundle), str(tmp_path))
    assert peer.preparer()(request).run().ms > 0
    wanted = reference.preprocess(Radiograph.from_frame(np.load(frame), Frame(bits_stored=16)), PreprocessSpec())
    np.testing.assert_allclose(seen[0], wanted, rtol=0, atol=tolerance)


def test_a_missing_package_is_a_gap_with_a_reason(tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.peers.jobs.PEERS", (Peer("x", "infer", "tensor", ("no_such_module",), "a", "b"),))
    bundle = open_bundle(tiny_bundle)
    _, skipped = all_jobs(find_models(bundle), bundle.manifest, (), 1)
    assert [gap.reason for gap in skipped] == ["not installed: pip install no_such_module"]


def test_the_run_has_every_stage_with_ours_beside_the_peers(tiny_bundle: Path, tmp_path: Path) -> None:
    bundle = open_bundle(tiny_bundle)
    samples, _ = make_samples(INPUTS, 240, 240, tmp_path)
    jobs, _ = all_jobs(find_models(bundle), bundle.manifest, samples, 2)
    own = {job.cell.stage for job in jobs if job.cell.way == OWN}
    assert own == set(STAGES)
    assert len({job.cell for job in jobs}) == len(jobs)
    assert all(job.sample is not None for job in jobs if job.cell.input not in (None, "tensor"))


def test_the_peers_network_has_the_size_of_ours() -> None:
    pytest.importorskip("torch")
    from benchmarks.peers.densenet import DenseNet121
    from training.model import CheXNet

    ours, theirs = (sum(weight.numel() for weight in network.parameters()) for network in (CheXNet(), DenseNet121()))
    assert ours == theirs


def test_the_command_continues_a_record_and_reports_its_codes(
    tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = import_module("benchmarks.peers.__main__")
    record = tmp_path / "peers.jsonl"
    options = ["peers", "--bundle", str(tiny_bundle), "--size", "240x240", "--repetitions", "1", "--rounds", "1"]

    def run(*more: str) -> int:
        monkeypatch.setattr("sys.argv", [*options, "-o", str(record), *more])
        return int(command.main())

    assert run("--stage", "import") == 0
    before = record.read_bytes()
    assert run("--stage", "import") == 0
    assert record.read_bytes() == before
    assert "import" in capsys.readouterr().out
    assert run("--stage", "import", "--repetitions", "0") == 2
    record.write_text('{"schema": 99, "kind": "machine"}\n')
    assert run("--stage", "import") == 4
    assert "schema 99" in capsys.readouterr().err
