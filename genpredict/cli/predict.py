"""`genpredict predict fit|apply`: a model from measures to a target, kept in a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import App, Parameter

from genpredict.cli.exit_codes import ALL_DONE
from genpredict.cli.options import DEFAULT_FLAGS, Flags, Names, OptionalOutput, Output
from genpredict.errors import GenpredictError

if TYPE_CHECKING:
    import xarray as xr

predict = App(
    name="predict",
    help="Predict a target from measures, by a model that is judged on groups it has not seen.",
    help_format="markdown",
)
FIT_EXAMPLE = """
Example: `genpredict predict fit scores.zarr --target test_accuracy --leave-out network
-o model.skops`
"""
APPLY_EXAMPLE = """
Example: `genpredict predict apply new.zarr --model model.skops -o predictions.csv`
"""
ModelName = Literal["ridge", "random_forest", "gradient_boosting", "gaussian_process"]


@predict.command(help_epilogue=FIT_EXAMPLE)
def fit(
    path: Path,
    /,
    *,
    output: Output,
    target: str = "test_accuracy",
    features: Names | None = None,
    model: ModelName = "ridge",
    leave_out: Names | None = None,
    where: str | None = None,
    flags: Flags = DEFAULT_FLAGS,
    overwrite: bool = False,
) -> int:
    """Fit a model, and say how well it predicts groups that are held out, beside the baselines.

    Parameters
    ----------
    path
        A scores store.
    output
        The model, ends in .skops.
    target
        What to predict: test_accuracy, generalization_gap, …
    features
        Measures, separated by commas; default Q, low-rank Q_adjusted and the baselines.
    model
        Which model.
    leave_out
        Coordinates whose values are held out in turn; default the first of network, dataset,
        optimizer and learning_rate that tells checkpoints apart.
    where
        Checkpoints that count, e.g. 'epoch == 90'.
    overwrite
        Replace an existing model.
    """
    from genpredict.cli.correlate import warnings_noted
    from genpredict.cli.show_tables import show_notes
    from genpredict.outputs import check_output
    from genpredict.stats import cross_validate, fit_predictor, save_predictor
    from genpredict.stats.groups import selected
    from genpredict.stats.prediction import default_leave_out
    from genpredict.store.reading import open_scores

    check_output(output, overwrite=overwrite, inputs=(path,))
    scores = selected(open_scores(path), where)
    predictor = fit_predictor(scores, target, features, model, seed=flags.seed)
    save_predictor(predictor, output, overwrite=overwrite, inputs=(path,))
    held = leave_out or default_leave_out(scores)
    if held is None:
        show_notes("nothing to hold out: what the model is worth for other networks is not known")
    else:
        with warnings_noted():
            judged = cross_validate(
                scores, target, features, model, held, inference=flags.inference()
            )
        show_quality(judged)
    show_notes(
        f"{output}: {model} of {len(predictor.features)} features, fitted to "
        f"{predictor.trained_on} checkpoints"
    )
    return ALL_DONE


def show_quality(judged: xr.Dataset) -> None:
    """Print R², Kendall's τ and the error of held-out predictions, measures beside baselines.

    Parameters
    ----------
    judged : Dataset
        As of `stats.cross_validate`.
    """
    import pandas as pd

    from genpredict.cli.show_tables import show_frame, show_notes

    unit = judged.attrs["units"]
    titles = {"r2": "R²", "kendall": "τ", "error": f"error ({unit})" if unit else "error"}
    rows = []
    for name in judged["features"].values:
        part = judged.sel(features=name)
        texts = {title: _text(part, key) for key, title in titles.items()}
        rows.append({"features": str(name)} | texts)
    attrs = judged.attrs
    groups = judged.sizes["group"]
    title = f"{attrs['target']}, {attrs['model']}, {groups} groups by {attrs['leave_out']} held out"
    show_frame(pd.DataFrame(rows), title=title)
    gain = [float(judged[f"gain{end}"]) for end in ("", "_lower", "_upper", "_pvalue")]
    ends = "" if gain[1] != gain[1] else f" [{gain[1]:+.2f}, {gain[2]:+.2f}], p = {gain[3]:.3f}"
    show_notes(
        f"error of the baselines less that of the measures: {gain[0]:+.2f}{ends}",
        f"{int(judged['n_clusters'])} clusters of {int(judged['n'])} checkpoints; intervals take "
        "the fitted models as given",
    )


def _text(part: xr.Dataset, key: str) -> str:
    value, low, high = (float(part[key + end]) for end in ("", "_lower", "_upper"))
    return f"{value:+.2f}" + ("" if low != low else f" [{low:+.2f}, {high:+.2f}]")


@predict.command(help_epilogue=APPLY_EXAMPLE)
def apply(
    path: Path,
    /,
    *,
    model: Annotated[Path, Parameter(name=["--model", "-m"])],
    where: str | None = None,
    output: OptionalOutput = None,
    overwrite: bool = False,
) -> int:
    """Predict the target of every checkpoint of a store.

    Parameters
    ----------
    path
        A scores store, measured as the model's was.
    model
        A .skops file of `genpredict predict fit`.
    where
        Checkpoints that count, e.g. 'epoch == 90'.
    output
        Write the predictions to this .csv.
    overwrite
        Replace an existing table.
    """
    from genpredict.cli.show_tables import show_frame, show_notes, write_frame
    from genpredict.outputs import check_output
    from genpredict.stats import apply_predictor, load_predictor
    from genpredict.store.reading import open_scores

    if output is not None:
        check_output(output, overwrite=overwrite, inputs=(path, model))
    if not (path / "zarr.json").exists():
        raise GenpredictError(f"{path}: no scores store; make one with `genpredict score`")
    predictor = load_predictor(model)
    table = apply_predictor(predictor, open_scores(path), where=where)
    frame = table.to_dataframe().reset_index()
    if output is not None:
        write_frame(frame, output, overwrite=overwrite, inputs=(path, model))
    best = frame.sort_values("prediction", ascending=False).head(20)
    show_frame(best, title=f"{predictor.target} predicted by {predictor.model}, the highest first")
    beyond = int((frame["outside"] > 0).sum())
    show_notes(
        f"{len(frame)} checkpoints; {beyond} have features outside the range of the training set, "
        "where a model only guesses"
    )
    return ALL_DONE
