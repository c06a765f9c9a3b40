"""Predict from trained weights alone how a network generalizes."""

__version__ = "0.1.0"
