"""INT8 the plain tools' way, one scale a tensor: the comparison that our own rewrites have to beat."""

from export.plain_int8.nncf_graph import quantised_by_nncf
from export.plain_int8.onnxruntime_static import RangeMethod, quantised_by_onnxruntime

__all__ = ["RangeMethod", "quantised_by_nncf", "quantised_by_onnxruntime"]
