"""Graphs whose tensors are FP16 where that is safe, for GPUs: the precision lies in the file, not in builder flags."""

from export.half.emulation import emulated_fp16
from export.half.fp16 import to_fp16
from export.half.int8_fp16 import to_int8_fp16
from export.half.range_check import Headroom, check_fp16_range
from export.half.scales import with_fp16_scales

__all__ = ["Headroom", "check_fp16_range", "emulated_fp16", "to_fp16", "to_int8_fp16", "with_fp16_scales"]
