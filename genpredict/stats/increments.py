"""What a measure adds to the baselines: partial correlations, and differences from each of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Unpack

import numpy as np
import xarray as xr

from genpredict.errors import GenpredictError
from genpredict.inference import Inference, InferenceOptions, inference_of
from genpredict.stats.columns import Named, baseline_names, measure_columns, names_of
from genpredict.stats.correlations import correlate
from genpredict.stats.differences import difference
from genpredict.stats.groups import selected


def increment(
    scores: xr.Dataset,
    measures: Sequence[str] | str | None = None,
    targets: Sequence[Named] | Named | None = None,
    *,
    over: Sequence[str] | str | None = None,
    by: Sequence[str] | str | None = None,
    where: str | xr.DataArray | None = None,
    margin: float = 0.1,
    inference: Inference | None = None,
    **options: Unpack[InferenceOptions],
) -> xr.Dataset:
    """Compare measures with baselines: what is left beside them, and who is the stronger.

    Parameters
    ----------
    scores : Dataset
        As of `score` or `open_scores`.
    measures, targets, by, where
        As for `correlate`.
    over : sequence of str, optional
        What a measure must add to; by default the baselines that differ among these networks.
    margin : float
        Correlations closer than this are equivalent.
    inference : Inference, optional
    **options
        Fields of `Inference` by name.

    Returns
    -------
    Dataset
        (measure, target, group) the variables of `correlate` with all of `over` held fixed,
        ``partial_`` before their names; (measure, baseline, target, group) those of `difference`,
        of |correlation| and with a margin, ``less_`` before their names.

    Raises
    ------
    GenpredictError
        For unknown names, or where no baseline differs.
    """
    settings = inference_of(inference, options)
    scores = selected(scores, where)
    baselines = names_of(over) or [
        name
        for name in baseline_names(scores)
        if len(np.unique(scores[_variable(scores, name)].values)) > 1
    ]
    if not baselines:
        raise GenpredictError("over: no baseline of these networks differs; name a covariate")
    held = correlate(scores, measures=measures, targets=targets, by=by, partial=baselines,
                     inference=settings)  # fmt: skip
    known = {*baselines, *baseline_names(scores)}
    wanted = [one.label for one in measure_columns(scores, measures) if one.label not in known]
    held = held.sel(measure=wanted)
    compared = [
        xr.concat(
            [
                difference(scores, measure, baseline, targets=targets, by=by, absolute=True,
                           margin=margin, inference=settings).drop_attrs()
                for baseline in baselines
            ],
            "baseline",
        )
        for measure in wanted
    ]  # fmt: skip
    less = xr.concat(compared, "measure")
    renamed = [
        held.rename({name: f"partial_{name}" for name in held.data_vars}),
        less.rename({name: f"less_{name}" for name in less.data_vars}).assign_coords(
            measure=held["measure"].values, baseline=np.array(baselines, dtype=object)
        ),
    ]
    return xr.merge(renamed, join="exact").assign_attrs(held.attrs, margin=margin)


def _variable(scores: xr.Dataset, name: str) -> str:
    return name if name in scores.variables else name.removeprefix("log_")
