"""Energy, clock and temperature during a cell, where the platform tells; else it is said that it doesn't.

Sources: RAPL's energy counters (Linux powercap), the INA3221 power monitors of Jetson boards (hwmon), cpufreq, thermal
zones, and ``nvidia-smi`` where a GPU computes.
"""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

__all__ = ["SensorReadings", "Sensors"]

SECONDS_BETWEEN_SAMPLES = 0.5
"""Power and clock are sampled between repetitions, never within one, and not so often as to disturb the caches."""

TOTAL_RAIL = "VDD_IN"
"""Label of the rail that feeds a whole Jetson module; the other rails are parts of it."""

NVIDIA_SMI = ("nvidia-smi", "--query-gpu=power.draw,clocks.sm,temperature.gpu", "--format=csv,noheader,nounits")


@dataclass(frozen=True, slots=True)
class SensorReadings:
    """Of one cell's repetitions.

    Attributes:
        energy_j: joules that the processor packages or the board used, everything else that ran included.
        power_w: mean watts.
        clock_mhz: mean clock of the cores, or of the GPU where it computes.
        temperature_c: the highest seen.
        unavailable: what the platform does not tell, by name of the field.
    """

    energy_j: float | None
    power_w: float | None
    clock_mhz: float | None
    temperature_c: float | None
    unavailable: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready mapping."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> SensorReadings:
        """What `to_json` wrote."""
        known = {field.name: value[field.name] for field in fields(cls)}
        return cls(**{**known, "unavailable": tuple(value["unavailable"])})


class Sensors:
    """Watches one cell: made when its repetitions start, asked between them, read at the end.

    Args:
        root: where ``sys`` lies; another one in tests.
        gpu: also ask ``nvidia-smi``, whose figures then take the place of the board's.
        clock: monotonic seconds.
    """

    def __init__(
        self, root: Path = Path("/"), *, gpu: bool = False, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._sys = root / "sys"
        self._gpu = gpu and shutil.which(NVIDIA_SMI[0]) is not None
        self._clock = clock
        self._watts: list[float] = []
        self._megahertz: list[float] = []
        self._celsius: list[float] = []
        self._started = self._sampled = clock()
        self._energy_at_start = rapl_energy(self._sys)
        self._sample()

    def between_repetitions(self) -> None:
        """Take a sample when the last one is old enough."""
        if self._clock() - self._sampled >= SECONDS_BETWEEN_SAMPLES:
            self._sample()

    def readings(self) -> SensorReadings:
        """What was seen since the start."""
        self._sample()
        seconds = self._clock() - self._started
        energy = energy_between(self._energy_at_start, rapl_energy(self._sys))
        power = _mean(self._watts)
        if power is not None:  # a sampled power is the board's or the GPU's, nearer to the question than RAPL's
            energy = power * seconds
        elif energy is not None and seconds > 0:
            power = energy / seconds
        clock, temperature = _mean(self._megahertz), max(self._celsius, default=None)
        values = {"energy_j": energy, "power_w": power, "clock_mhz": clock, "temperature_c": temperature}
        return SensorReadings(
            energy, power, clock, temperature, tuple(name for name, value in values.items() if value is None)
        )

    def _sample(self) -> None:
        self._sampled = self._clock()
        if self._gpu:
            watts, megahertz, celsius = gpu_figures()
        else:
            watts, megahertz, celsius = board_power(self._sys), core_clock(self._sys), temperature(self._sys)
        for values, value in ((self._watts, watts), (self._megahertz, megahertz), (self._celsius, celsius)):
            if value is not None:
                values.append(value)


def rapl_energy(sys: Path) -> dict[str, tuple[float, float]]:
    """Microjoules counted by each processor package, and where its counter wraps; empty where there is no RAPL.

    Since Linux 5.10 the counters are readable by root alone.
    """
    found = {}
    for package in sorted((sys / "class/powercap").glob("intel-rapl:?")):
        count, wrap = number_in(package / "energy_uj"), number_in(package / "max_energy_range_uj")
        if count is not None and wrap is not None:
            found[package.name] = (count, wrap)
    return found


def energy_between(before: dict[str, tuple[float, float]], after: dict[str, tuple[float, float]]) -> float | None:
    """Joules between two readings of RAPL, one wrap of each counter allowed for; None without counters."""
    used = [
        (count - before[name][0]) % wrap if wrap else count - before[name][0]
        for name, (count, wrap) in after.items()
        if name in before
    ]
    return sum(used) / 1e6 if used else None


def board_power(sys: Path) -> float | None:
    """Watts of a Jetson module by its INA3221 monitors: the total rail, or the sum of all where none is labelled so."""
    rails: dict[str, float] = {}
    for monitor in sorted((sys / "class/hwmon").glob("hwmon*")):
        if text_in(monitor / "name") != "ina3221":
            continue
        for channel in "123":
            millivolt = number_in(monitor / f"in{channel}_input")
            milliampere = number_in(monitor / f"curr{channel}_input")
            if millivolt is not None and milliampere is not None:
                label = text_in(monitor / f"in{channel}_label") or f"{monitor.name} {channel}"
                rails[label] = millivolt * milliampere / 1e6
    return rails.get(TOTAL_RAIL, sum(rails.values())) if rails else None


def core_clock(sys: Path) -> float | None:
    """Mean of the cores' present clocks by cpufreq, MHz."""
    kilohertz = [number_in(path) for path in (sys / "devices/system/cpu").glob("cpu*/cpufreq/scaling_cur_freq")]
    mean = _mean([value for value in kilohertz if value is not None])
    return None if mean is None else mean / 1000


def temperature(sys: Path) -> float | None:
    """The hottest thermal zone, degrees Celsius."""
    zones = [number_in(path) for path in (sys / "class/thermal").glob("thermal_zone*/temp")]
    return max((value / 1000 for value in zones if value is not None), default=None)


def gpu_figures() -> tuple[float | None, float | None, float | None]:
    """Watts, MHz and degrees Celsius of the first GPU by ``nvidia-smi``; None for what it does not tell."""
    try:
        output = subprocess.run(NVIDIA_SMI, capture_output=True, text=True, timeout=10, check=True).stdout
        watts, megahertz, celsius = (_number(text) for text in output.splitlines()[0].split(","))
    except (OSError, subprocess.SubprocessError, IndexError, ValueError):
        return None, None, None
    return watts, megahertz, celsius


def text_in(path: Path) -> str | None:
    """The text of a file of the kernel's; None where it isn't there or may not be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return None


def number_in(path: Path) -> float | None:
    """The number in a sysfs file; None where there is none."""
    return _number(text_in(path) or "")


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None
