"""Predictors as .skops files: read without running code that stands in them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from genpredict.errors import GenpredictError
from genpredict.outputs import new_file
from genpredict.stats.prediction.fitting import Predictor

SUFFIX = ".skops"
#: Raised by one with every change of what stands in a file.
FORMAT = 1
#: Types beside those that skops trusts by itself: parts of the models in `models`.
TRUSTED = (
    "numpy.dtype",
    "sklearn.tree._tree.Tree",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.gaussian_process.kernels.ConstantKernel",
    "sklearn.gaussian_process.kernels.Product",
    "sklearn.gaussian_process.kernels.RBF",
    "sklearn.gaussian_process.kernels.Sum",
    "sklearn.gaussian_process.kernels.WhiteKernel",
)


def save_predictor(
    predictor: Predictor, path: str | Path, *, overwrite: bool = False, inputs: Iterable[Path] = ()
) -> Path:
    """Write a predictor to a .skops file.

    Parameters
    ----------
    predictor : Predictor
    path : path
    overwrite : bool
        Replace an existing file.
    inputs : iterable of Path
        Never replaced.

    Returns
    -------
    Path

    Raises
    ------
    GenpredictError
        For another suffix, a file that is there, or where skops is not installed.
    """
    io, path = _skops(), Path(path)
    if path.suffix != SUFFIX:
        raise GenpredictError(f"{path}: a model must end in {SUFFIX}")
    plain = replace(predictor, pipeline=None)
    content = {"genpredict": FORMAT, "predictor": asdict(plain), "pipeline": predictor.pipeline}
    with new_file(path, overwrite=overwrite, inputs=inputs) as partial, partial.open("wb") as file:
        file.write(io.dumps(content))
    return path


def load_predictor(path: str | Path) -> Predictor:
    """Read a predictor from a .skops file.

    Parameters
    ----------
    path : path

    Returns
    -------
    Predictor

    Raises
    ------
    GenpredictError
        For a file that is none, holds types that no model of ours has, or is of another format; or
        where skops is not installed.
    """
    io, path = _skops(), Path(path)
    try:
        strange = set(io.get_untrusted_types(file=path)) - set(TRUSTED)
    except OSError as error:
        raise GenpredictError(f"{path}: cannot read: {error.strerror or error}") from error
    except Exception as error:  # any: skops raises whatever a broken archive runs into
        raise GenpredictError(f"{path}: no model of `genpredict predict fit` ({error})") from error
    if strange:
        raise GenpredictError(
            f"{path}: holds {', '.join(sorted(strange))}, which no model of `genpredict predict "
            f"fit` has; do not trust it"
        )
    content: dict[str, Any] = io.load(path, trusted=list(TRUSTED))
    if not isinstance(content, dict) or content.get("genpredict") != FORMAT:
        raise GenpredictError(f"{path}: no model of `genpredict predict fit` of format {FORMAT}")
    return Predictor(**content["predictor"] | {"pipeline": content["pipeline"]})


def _skops() -> Any:
    try:
        import skops.io
    except ImportError as error:
        raise GenpredictError(
            "models are kept as .skops files, which takes skops: pip install 'genpredict[predict]'"
        ) from error
    return skops.io
