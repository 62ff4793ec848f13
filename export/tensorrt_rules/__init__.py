"""What TensorRT 10.3 and later ask of an ONNX file, checked where the file is made instead of where it is deployed.

Operators, types and restrictions are those of onnx-tensorrt's ``docs/operators.md`` at its 10.1 release; the rules of
``QuantizeLinear`` and ``DequantizeLinear`` are those of its importer there (``QuantDequantLinearHelper`` in
``onnxOpImporters.cpp``). TensorRT itself is not asked: it is not installed where bundles are made.
"""

from export.tensorrt_rules.check import check_tensorrt_rules, tensorrt_faults

__all__ = ["check_tensorrt_rules", "tensorrt_faults"]
