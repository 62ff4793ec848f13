"""A study's record as Markdown tables, put between the markers of a document."""

from __future__ import annotations

from collections.abc import Sequence

from export.study.figures import Figures, SchemeRecord, StudyHeader
from export.study.record import StudyRecord
from training.generated_sections import markdown_table

__all__ = ["sections"]

ENGINES = {"onnxruntime": "ONNX Runtime", "openvino": "OpenVINO"}

HEADINGS = ("scheme", "runtime", "AUC", "max", "p99", "mean", "RMS Δlogit", "flips", "map r", "same peak", "MB")
IMAGE_HEADINGS = ("range images", "scheme", *HEADINGS[1:-1])


def sections(record: StudyRecord) -> dict[str, str]:
    """Markdown of each generated section, by its name."""
    tables = {name: [scheme for scheme in record.schemes if scheme.table == name] for name in TABLES}
    found = {"conditions": conditions(record.header)}
    found |= {name: scheme_table(tables[name]) for name in TABLES if name != "images"}
    found["images"] = image_table(tables["images"])
    return found


TABLES = ("schemes", "options", "images", "half")


def conditions(header: StudyHeader) -> str:
    """On what the study was made, in one paragraph."""
    versions = ", ".join(f"{name} {version}" for name, version in header.versions.items())
    auc = "" if header.fp32_auc is None else f"; AUC of FP32 {header.fp32_auc:.4f}"
    sources = "; ".join(header.parity_sources)
    return (
        f"Model {header.model} (SHA-256 {header.model_sha256[:12]}…), {header.images} images, {header.abnormal} "
        f"abnormal ({sources}){auc}; standard deviation of FP32's logits "
        f"{header.logit_spread:.2f}, temperature {header.temperature:.3f}, operating point {header.operating_point}. "
        f"Ranges from images of {header.range_source.rpartition(':')[0]}. {versions}."
    )


def scheme_table(schemes: Sequence[SchemeRecord]) -> str:
    """A row for each scheme and runtime."""
    rows = [(scheme.title, *cells, megabytes(scheme)) for scheme in schemes for cells in runtime_cells(scheme)]
    return markdown_table(HEADINGS, rows) if rows else "Not measured yet."


def image_table(schemes: Sequence[SchemeRecord]) -> str:
    """The same by number of range images."""
    ordered = sorted(schemes, key=lambda scheme: (scheme.title, scheme.range_images))
    rows = [(str(scheme.range_images), scheme.title, *cells) for scheme in ordered for cells in runtime_cells(scheme)]
    return markdown_table(IMAGE_HEADINGS, rows) if rows else "Not measured yet."


def runtime_cells(scheme: SchemeRecord) -> list[tuple[str, ...]]:
    """Runtime and figures, a tuple a runtime; what failed has its reason in place of figures."""
    suffix = ", FP16 emulated" if scheme.emulated else ""
    found = [(ENGINES.get(name, name) + suffix, *figure_cells(value)) for name, value in scheme.runtimes.items()]
    blanks = ("",) * (len(HEADINGS) - 4)
    found += [(ENGINES.get(name, name), f"failed: {plain(why)}", *blanks) for name, why in scheme.failures.items()]
    return found


def figure_cells(found: Figures) -> tuple[str, ...]:
    """The figures in the order of the headings."""
    return (
        "n/a" if found.auc is None else f"{found.auc:.4f}",
        f"{found.max_probability:.4f}",
        f"{found.p99_probability:.4f}",
        f"{found.mean_probability:.4f}",
        f"{found.rms_logit_share:.1%}",
        str(found.flips),
        f"{found.cam_median_r:.4f}",
        f"{found.cam_same_peak:.1%}",
    )


def megabytes(scheme: SchemeRecord) -> str:
    """Size of the file; nothing where none was built."""
    return f"{scheme.bytes / 1e6:.1f}" if scheme.bytes else ""


def plain(reason: str) -> str:
    """A reason that cannot break the table: one line, no bars, not endless."""
    text = " ".join(reason.split()).replace("|", "/")
    return text if len(text) <= 120 else f"{text[:119]}…"
