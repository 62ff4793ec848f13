"""Label files (`labels.csv`) from chest X-ray data sets as their publishers release them."""

from training.index.dataset import index_dataset
from training.index.records import IndexReport, Skipped

__all__ = ["IndexReport", "Skipped", "index_dataset"]
