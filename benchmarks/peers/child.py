"""The process of one peer's cell; ``python -m benchmarks.peers.child``, asked and answering as the library's own."""

from __future__ import annotations

from benchmarks.peers.table import peer_of
from cxr_edge.bench.cell import CellRequest
from cxr_edge.bench.child import serve
from cxr_edge.bench.workload import Workload
from cxr_edge.errors import CxrEdgeError, EngineError


def prepare(request: CellRequest) -> Workload:
    """The peer's work.

    Raises:
        EngineError: the peer's packages don't work here; the bench goes on without it.
    """
    try:
        return peer_of(request.cell).preparer()(request)
    except CxrEdgeError:
        raise
    except Exception as error:  # a peer that fails on this machine is a gap in the table, not the end of the run
        raise EngineError(f"{type(error).__name__}: {error}") from error


if __name__ == "__main__":
    serve(prepare)
