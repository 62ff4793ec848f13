"""Workstation side: from a training run to a verified bundle."""
