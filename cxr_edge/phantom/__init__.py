"""Seeded chest-like test pictures for demo, tests and benchmarks; no real image may be in the repository.

They look like frontal chest X-rays and exercise the whole path from pixels to decision. They are no evidence of
anything: a probability of a phantom says nothing about the classifier's quality.
"""

from cxr_edge.phantom.render import lung_mask, phantom, render
from cxr_edge.phantom.spec import Phantom, PhantomSpec

__all__ = ["Phantom", "PhantomSpec", "lung_mask", "phantom", "render"]
