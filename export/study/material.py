"""What schemes are built from: the FP32 model, range images, and ranges that several schemes share."""

from __future__ import annotations

from dataclasses import dataclass, field

from calibration.ranges import RangeMethod, Ranges, collect_ranges
from export.int8 import Int8Options, build_int8, range_tensors
from export.study.images import RangeInputs
from export.study.subject import Subject

__all__ = ["Material"]


@dataclass(frozen=True, slots=True, eq=False)
class Material:
    """The model and the images of a study.

    Attributes:
        subject: the FP32 model.
        images: where ranges come from.
        ranges: those collected so far, by number of images and method.
        models: INT8 models built so far, because one of them stands in several tables.
    """

    subject: Subject
    images: RangeInputs
    ranges: dict[tuple[int, RangeMethod], Ranges] = field(default_factory=dict)
    models: dict[tuple[Int8Options, RangeMethod, int], bytes] = field(default_factory=dict)

    def int8(self, options: Int8Options, method: RangeMethod, count: int) -> bytes:
        """Our INT8 model.

        Args:
            options: how it is made.
            method: how ranges are taken.
            count: from how many images.
        """
        key = options, method, count
        if key not in self.models:
            inputs = self.images.chosen(count)[1]
            self.models[key] = build_int8(self.subject.fp32, self.ranges_of(method, count), options, inputs).model
        return self.models[key]

    def ranges_of(self, method: RangeMethod, count: int) -> Ranges:
        """Ranges by one method on so many images; collected once."""
        key = count, method
        if key not in self.ranges:
            chosen, inputs = self.images.chosen(count)
            self.ranges[key] = collect_ranges(
                self.subject.fp32,
                range_tensors(self.subject.fp32),
                inputs,
                preprocess=self.subject.preprocess,
                images=chosen.sha256,
                method=method,
            )
        return self.ranges[key]
