from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from cxr_edge.engines.tensorrt.plan_header import check_header, written_by
from cxr_edge.engines.tensorrt.plan_key import BuildOptions, PlanKey, PlanTarget
from cxr_edge.engines.tensorrt.plan_record import PlanRecord
from cxr_edge.engines.tensorrt.plan_store import PlanStore
from cxr_edge.errors import EngineError, OutputError, UsageError

TARGET = PlanTarget(
    model_sha256="ab" * 32,
    precision="int8-fp16",
    input_shape="1x224x224",
    tensorrt_version="10.3.0",
    device_name="Orin",
    compute_capability="8.7",
    driver="CUDA 12.6",
)
PLAN = b"ftrt" + bytes(20) + bytes([10, 3, 0, 26]) + b"code"
OTHER = {
    "model_sha256": "cd" * 32,
    "input_shape": "1x448x448",
    "tensorrt_version": "10.7.0",
    "device_name": "Thor",
    "compute_capability": "11.0",
    "driver": "CUDA 13.0",
}


@pytest.fixture
def store(tmp_path: Path) -> PlanStore:
    return PlanStore(tmp_path / "plans")


def save(store: PlanStore, target: PlanTarget = TARGET, plan: bytes = PLAN, **options: object) -> PlanRecord:
    key = PlanKey(target, BuildOptions(**options))
    return store.save(key, "chexnet", plan, "{}", device_memory=5)


def test_a_saved_plan_is_found_and_loads(store: PlanStore) -> None:
    record = save(store, batch=(1, 4, 8))
    lookup = store.find(TARGET, "chexnet")
    assert lookup.problem("int8-fp16") is None
    assert lookup.record == record
    assert store.load(record) == PLAN
    assert store.layers_path(record.key).read_text() == "{}"


def test_without_a_plan_the_command_is_named(store: PlanStore) -> None:
    problem = store.find(TARGET, "chexnet").problem("int8-fp16")
    assert problem is not None
    assert "no TensorRT plan" in problem
    assert "cxr-edge build BUNDLE --engine tensorrt --precision int8-fp16" in problem


@pytest.mark.parametrize("field", OTHER)
def test_a_stale_plan_says_which_field_changed(store: PlanStore, field: str) -> None:
    save(store)
    problem = store.find(dataclasses.replace(TARGET, **{field: OTHER[field]}), "chexnet").problem("int8-fp16")
    assert problem is not None
    was, here = (value[:12] if field == "model_sha256" else value for value in (getattr(TARGET, field), OTHER[field]))
    assert f"stale ({field} was {was}, is {here})" in problem


def test_plans_of_another_precision_or_bundle_are_not_near(store: PlanStore) -> None:
    save(store)
    assert store.find(dataclasses.replace(TARGET, precision="fp16"), "chexnet").record is None
    assert store.find(dataclasses.replace(TARGET, model_sha256="0" * 64), "another").record is None


def test_the_nearest_and_among_equals_the_newest_plan_is_named(store: PlanStore) -> None:
    save(store, dataclasses.replace(TARGET, driver="CUDA 12.4", tensorrt_version="10.4.0"), workspace_mib=1)
    save(store, dataclasses.replace(TARGET, driver="CUDA 12.5"), workspace_mib=2)
    newest = save(store, dataclasses.replace(TARGET, driver="CUDA 12.3"), workspace_mib=3)
    assert store.find(TARGET, "chexnet").record == newest


def test_the_newest_of_several_plans_that_fit_is_run(store: PlanStore) -> None:
    save(store)
    newest = save(store, batch=(1, 4, 8))
    assert store.find(TARGET, "chexnet").record == newest


@pytest.mark.parametrize(
    ("here", "fits"),
    [("10.3.0", True), ("10.7.1", True), ("10.2.9", False), ("11.0.0", False)],
)
def test_a_version_compatible_plan_runs_on_newer_tensorrt_of_its_major_version(
    store: PlanStore, here: str, fits: bool
) -> None:
    save(store, version_compatible=True)
    lookup = store.find(dataclasses.replace(TARGET, tensorrt_version=here), "chexnet")
    assert (lookup.problem("int8-fp16") is None) is fits


@pytest.mark.parametrize(("capability", "fits"), [("8.0", True), ("12.0", True), ("7.5", False)])
def test_a_hardware_compatible_plan_runs_on_ampere_and_newer(store: PlanStore, capability: str, fits: bool) -> None:
    save(store, hardware_compatible=True)
    here = dataclasses.replace(TARGET, device_name="RTX", compute_capability=capability)
    assert (store.find(here, "chexnet").problem("int8-fp16") is None) is fits


def test_a_rebuild_removes_the_plan_that_it_supersedes_and_no_other(store: PlanStore) -> None:
    old = save(store)
    batched = save(store, batch=(1, 4, 8))
    new = save(store, dataclasses.replace(TARGET, driver="CUDA 13.0"))
    assert set(store.records()) == {batched, new}
    assert not store.plan_path(old.key).exists()
    assert not store.layers_path(old.key).exists()


SPOILT = {
    "truncated": (PLAN[:-1], r"has 31 bytes, its record says 32"),
    "empty": (b"", "has 0 bytes"),
    "one bit": (PLAN[:-1] + bytes([PLAN[-1] ^ 1]), "does not match its SHA-256"),
    "longer": (PLAN + b"x", "has 33 bytes"),
}


@pytest.mark.parametrize("damage", SPOILT)
def test_a_plan_that_was_changed_is_not_loaded(store: PlanStore, damage: str) -> None:
    record = save(store)
    data, said = SPOILT[damage]
    store.plan_path(record.key).write_bytes(data)
    with pytest.raises(EngineError, match=f"{said}.*cxr-edge build --force"):
        store.load(record)


def test_a_plan_that_is_gone_or_a_link_is_not_loaded(store: PlanStore, tmp_path: Path) -> None:
    record = save(store)
    path = store.plan_path(record.key)
    path.rename(tmp_path / "elsewhere")
    with pytest.raises(EngineError, match="cannot read the plan"):
        store.load(record)
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(EngineError, match="cannot read the plan"):
        store.load(record)


def test_a_record_moved_to_another_key_is_not_believed(store: PlanStore) -> None:
    """Built elsewhere: whoever copies a plan and edits its record to look native changes the key's digest."""
    save(store, dataclasses.replace(TARGET, device_name="Thor"))
    (path,) = store.directory.glob("*.plan.json")
    fields = json.loads(path.read_text())
    fields["key"]["device_name"] = "Orin"
    path.write_text(json.dumps(fields))
    assert store.find(TARGET, "chexnet").record is None


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", '{"key": {}}', '{"key": {"batch": [1, 1]}}', '{"key": null, "sha256": 1}']
)
def test_a_record_that_cannot_be_read_means_that_there_is_no_plan(store: PlanStore, text: str) -> None:
    save(store)
    (path,) = store.directory.glob("*.plan.json")
    path.write_text(text)
    assert list(store.records()) == []


def test_a_directory_that_others_may_write_to_is_refused(store: PlanStore) -> None:
    record = save(store)
    store.directory.chmod(0o777)
    for attempt in (lambda: store.find(TARGET, "chexnet"), lambda: store.load(record), lambda: save(store)):
        with pytest.raises(EngineError, match="chmod 700"):
            attempt()


def test_plans_are_stored_where_only_their_user_can_go(store: PlanStore) -> None:
    save(store)
    assert store.directory.stat().st_mode & 0o777 == 0o700


def test_a_place_that_cannot_be_written_is_an_output_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot write"):
        save(PlanStore(tmp_path / "file" / "plans"))


def test_the_timing_cache_is_kept_for_the_same_gpu_and_tensorrt(store: PlanStore) -> None:
    assert store.timing_cache(TARGET) == b""
    store.save_timing_cache(TARGET, b"measured")
    assert store.timing_cache(dataclasses.replace(TARGET, precision="fp16")) == b"measured"
    assert store.timing_cache(dataclasses.replace(TARGET, tensorrt_version="10.7.0")) == b""


def test_a_damaged_timing_cache_is_not_used(store: PlanStore) -> None:
    store.save_timing_cache(TARGET, b"measured")
    (path,) = store.directory.glob("*.timing")
    path.write_bytes(path.read_bytes()[:-1])
    assert store.timing_cache(TARGET) == b""


@pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(PlanTarget)])
def test_every_field_of_the_target_is_part_of_the_key(name: str) -> None:
    other = dataclasses.replace(TARGET, **{name: "other"})
    assert PlanKey(TARGET).digest() != PlanKey(other).digest()
    assert [one.field for one in PlanKey(TARGET).differences(other)] == [name]


@pytest.mark.parametrize(
    "options",
    [
        {"batch": (1, 1, 2)},
        {"workspace_mib": 513},
        {"optimization_level": 4},
        {"version_compatible": True},
        {"hardware_compatible": True},
    ],
)
def test_every_option_is_part_of_the_key(options: dict[str, object]) -> None:
    assert PlanKey(TARGET).digest() != PlanKey(TARGET, BuildOptions(**options)).digest()


@pytest.mark.parametrize(
    "options",
    [
        {"batch": (0, 1, 1)},
        {"batch": (1, 3, 2)},
        {"batch": (1, 1, 65)},
        {"workspace_mib": 0},
        {"optimization_level": 6},
    ],
)
def test_options_outside_their_range_are_a_usage_error(options: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        BuildOptions(**options)


def test_a_plan_of_another_major_version_never_reaches_tensorrt() -> None:
    assert written_by(PLAN) == (10, 3, 0, 26)
    check_header(PLAN, "10.3.0")
    with pytest.raises(EngineError, match=r"written by TensorRT 10\.3\.0\.26, here is 11\.4\.0\.106"):
        check_header(PLAN, "11.4.0.106")
    with pytest.raises(EngineError, match="only 27 bytes"):
        check_header(PLAN[:27], "10.3.0")


def test_a_header_of_unknown_layout_is_left_to_the_key(store: PlanStore) -> None:
    assert written_by(b"ftrt" + b"\x01" + bytes(40)) is None
    check_header(b"ftrt" + b"\x01" + bytes(40), "10.3.0")
