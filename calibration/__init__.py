"""Workstation side: what is fitted on predictions or images after training (temperature, operating points)."""
