"""Train, export and evaluate the lung localiser of `cxr_edge.lungs`: ``python -m training.lungs``."""
