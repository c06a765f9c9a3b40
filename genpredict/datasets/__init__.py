"""Labelled images by name, normalization, augmentation."""

from genpredict.datasets.augmentation import Augmentation
from genpredict.datasets.digits import load_digits
from genpredict.datasets.images import ImageSplit, replace_labels
from genpredict.datasets.loading import DATASETS, load_dataset
from genpredict.datasets.normalization import Normalization, measure_normalization

__all__ = [
    "DATASETS",
    "load_dataset",
    "load_digits",
    "ImageSplit",
    "replace_labels",
    "Normalization",
    "measure_normalization",
    "Augmentation",
]
