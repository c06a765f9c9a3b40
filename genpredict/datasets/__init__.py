"""Labelled images by name."""

from genpredict.datasets.digits import load_digits
from genpredict.datasets.images import ImageSplit, replace_labels

__all__ = ["load_digits", "ImageSplit", "replace_labels"]
