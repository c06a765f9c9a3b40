"""Regression models by name: scikit-learn pipelines, one row each."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # ships no types

from genpredict.errors import GenpredictError

Pipeline: TypeAlias = Any  # sklearn.pipeline.Pipeline; scikit-learn ships no types


@dataclass(frozen=True)
class Model:
    """A regression model.

    Parameters
    ----------
    name : str
        On the command line, e.g. "ridge".
    long_name : str
    build : callable
        Of a seed; returns the last step of a pipeline.
    """

    name: str
    long_name: str
    build: Callable[[int], Any]

    def pipeline(self, seed: int = 0) -> Pipeline:
        """Return an unfitted pipeline: medians for missing values, standardized, then the model."""
        from sklearn.impute import SimpleImputer
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        imputer = SimpleImputer(strategy="median", keep_empty_features=True)
        return make_pipeline(imputer, StandardScaler(), self.build(seed))


def _ridge(_: int) -> Any:
    from sklearn.linear_model import RidgeCV

    return RidgeCV(alphas=np.logspace(-3, 4, 15))


def _random_forest(seed: int) -> Any:
    from sklearn.ensemble import RandomForestRegressor

    return RandomForestRegressor(n_estimators=200, min_samples_leaf=2, random_state=seed)


def _gradient_boosting(seed: int) -> Any:
    from sklearn.ensemble import HistGradientBoostingRegressor

    return HistGradientBoostingRegressor(max_iter=100, min_samples_leaf=5, random_state=seed)


def _gaussian_process(seed: int) -> Any:
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel

    kernel = ConstantKernel(1.0) * RBF(3.0) + WhiteKernel(0.5)
    return GaussianProcessRegressor(kernel, normalize_y=True, random_state=seed)


MODELS: dict[str, Model] = {
    row.name: row
    for row in (
        Model("ridge", "ridge regression, its strength by leave-one-out", _ridge),
        Model("random_forest", "random forest of 200 trees", _random_forest),
        Model("gradient_boosting", "histogram gradient boosting, 100 trees", _gradient_boosting),
        Model("gaussian_process", "Gaussian process, radial kernel and noise", _gaussian_process),
    )
}


def model_named(name: str) -> Model:
    """Return a model by its name.

    Raises
    ------
    GenpredictError
        For one that is not there; the message lists those that are.
    """
    if name not in MODELS:
        raise GenpredictError(f"model must be one of {tuple(MODELS)}, got {name!r}")
    return MODELS[name]


@contextmanager
def fitting() -> Iterator[None]:
    """Fit on one thread, without warnings of kernel bounds.

    A few dozen networks are fitted in no time, but threads that wait for each other where another
    program holds a core take a hundred times as long; and a Gaussian process warns whenever so few
    networks tell little of its kernel.
    """
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings(), threadpool_limits(limits=1):
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield
