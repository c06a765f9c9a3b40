"""Predict from trained weights alone how a network generalizes."""
