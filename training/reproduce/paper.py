"""What is known to us of the paper's own figures: those of its abstract."""

from __future__ import annotations

from dataclasses import dataclass

from cxr_edge.evaluation.intervals import wilson
from cxr_edge.probability import Interval

__all__ = ["PAPER", "PaperFigures"]


@dataclass(frozen=True, slots=True)
class PaperFigures:
    """The best cell of Almuhayar, Lu and Iriawan (ICICoS 2019): cropped input.

    The counts are inferred: no other test set of that order gives these three figures to four digits.

    Attributes:
        right, images: decisions on the test set.
        found, abnormal: abnormal images called so, of all abnormal ones.
        spared, normal: normal images called so, of all normal ones.
    """

    right: int
    images: int
    found: int
    abnormal: int
    spared: int
    normal: int

    @property
    def accuracy(self) -> Interval:
        """0.8761, with Wilson's interval for a test set of that size."""
        return wilson(self.right, self.images)

    @property
    def sensitivity(self) -> Interval:
        """0.8909."""
        return wilson(self.found, self.abnormal)

    @property
    def specificity(self) -> Interval:
        """0.8621."""
        return wilson(self.spared, self.normal)


PAPER = PaperFigures(right=99, images=113, found=49, abnormal=55, spared=50, normal=58)
