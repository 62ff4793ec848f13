"""The sensors on trees of files like those that Linux shows on a server, on a Jetson and on a machine without any."""

from __future__ import annotations

from pathlib import Path

from cxr_edge.bench.sensors import SensorReadings, Sensors


def put(root: Path, **files: object) -> None:
    for name, value in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{value}\n")


def test_rapl_gives_joules_over_all_packages_and_survives_a_wrap(tmp_path: Path) -> None:
    now = [0.0]
    cap = tmp_path / "sys/class/powercap"
    for package, start in (("0", 5_000_000), ("1", 9_000_000)):
        put(cap, **{f"intel-rapl:{package}/energy_uj": start, f"intel-rapl:{package}/max_energy_range_uj": 10_000_000})
    put(cap, **{"intel-rapl:0:0/energy_uj": 1, "intel-rapl:0:0/max_energy_range_uj": 10})
    sensors = Sensors(tmp_path, clock=lambda: now[0])
    put(cap, **{"intel-rapl:0/energy_uj": 8_000_000, "intel-rapl:1/energy_uj": 1_000_000})
    now[0] = 2.0
    readings = sensors.readings()
    assert (readings.energy_j, readings.power_w) == (5.0, 2.5)
    assert readings.unavailable == ("clock_mhz", "temperature_c")


def test_a_jetson_tells_its_boards_power_clock_and_temperature(tmp_path: Path) -> None:
    now = [0.0]
    monitor = tmp_path / "sys/class/hwmon/hwmon1"
    put(monitor, name="ina3221", in1_label="VDD_IN", in1_input=5000, curr1_input=2000)
    put(monitor, in2_label="VDD_CPU_GPU_CV", in2_input=5000, curr2_input=800)
    put(tmp_path / "sys/devices/system/cpu", **{"cpu0/cpufreq/scaling_cur_freq": 1_500_000})
    put(tmp_path / "sys/class/thermal", **{"thermal_zone0/temp": 45_500, "thermal_zone1/temp": 51_000})
    sensors = Sensors(tmp_path, clock=lambda: now[0])
    put(monitor, curr1_input=4000)
    now[0] = 0.2
    sensors.between_repetitions()  # too early to disturb anything
    now[0] = 4.0
    assert sensors.readings() == SensorReadings(60.0, 15.0, 1500.0, 51.0, ())


def test_where_nothing_tells_everything_is_said_to_be_unavailable(tmp_path: Path) -> None:
    readings = Sensors(tmp_path).readings()
    assert readings.unavailable == ("energy_j", "power_w", "clock_mhz", "temperature_c")
    assert SensorReadings.from_json(readings.to_json()) == readings


def test_garbage_in_a_sensor_is_no_figure(tmp_path: Path) -> None:
    put(tmp_path / "sys/class/thermal", **{"thermal_zone0/temp": "n/a"})
    assert Sensors(tmp_path).readings().temperature_c is None
