"""Who makes and who reads each tensor of an ONNX graph."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import onnx

__all__ = ["GraphLinks"]


class GraphLinks:
    """A graph's tensors by name, as they stand when the object is made; later edits are not seen.

    Args:
        graph: whose nodes are in topological order, as ONNX demands.

    Attributes:
        producer: node that makes a tensor; graph inputs and initializers have none.
        consumers: nodes that read a tensor, one entry an input; a graph output is no consumer.
        initializers: constant tensors.
        outputs: names of the graph's outputs.
    """

    def __init__(self, graph: onnx.GraphProto) -> None:
        self.producer: dict[str, Any] = {name: node for node in graph.node for name in node.output}
        self.consumers: dict[str, list[Any]] = defaultdict(list)
        for node in graph.node:
            for name in node.input:
                self.consumers[name].append(node)
        self.initializers: dict[str, Any] = {tensor.name: tensor for tensor in graph.initializer}
        self.outputs = {value.name for value in graph.output}

    def only_reader(self, tensor: str) -> Any | None:
        """The one node that reads a tensor; None where there are several, none, or it leaves the graph."""
        readers = self.consumers[tensor]
        return readers[0] if len(readers) == 1 and tensor not in self.outputs else None
