"""Workstation side: data sets, the network, its checkpoints, and fitting. Never imported by the device package."""
