"""From measures to predictions: models that are judged on groups they have not seen, and kept."""

from genpredict.stats.prediction.cross_validation import cross_validate, default_leave_out
from genpredict.stats.prediction.fitting import Predictor, apply_predictor, fit_predictor
from genpredict.stats.prediction.models import MODELS, Model
from genpredict.stats.prediction.saving import load_predictor, save_predictor

__all__ = [
    "MODELS",
    "Model",
    "Predictor",
    "apply_predictor",
    "cross_validate",
    "default_leave_out",
    "fit_predictor",
    "load_predictor",
    "save_predictor",
]
