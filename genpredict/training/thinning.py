"""How often, and on how much, a run is evaluated between its first epoch and its last."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from genpredict.training.settings import Settings
    from genpredict.training.training_state import TrainingState

#: Share of the time of training that evaluations in between take by default, counted in forward
#: passes; what the counting misses, and measuring the layers, has room up to 15 %.
SHARE = 0.1
#: Floating point operations that a core does in a fraction of a second: an evaluation that takes
#: no more is left whole.
_NO_MATTER = 1e10
#: Seed of the choice of images: the same for every run, so that curves compare.
SAMPLE_SEED = 0


@dataclass(frozen=True)
class EvaluationPlan:
    """When a run is evaluated, apart from its last epoch and those whose weights are kept.

    Attributes
    ----------
    interval : int
        Epochs from one evaluation to the next.
    counts : mapping of str to int, optional
        Images of each part (train, test, validation) that an evaluation in between looks at; None
        takes all, before the first epoch as well.
    """

    interval: int
    counts: Mapping[str, int] | None = None

    def is_due(self, done: int) -> bool:
        """Return whether to evaluate after so many epochs."""
        return done % self.interval == 0 and (done > 0 or self.counts is None)


def plan_evaluations(settings: Settings, state: TrainingState) -> EvaluationPlan:
    """Plan the evaluations of a run.

    Parameters
    ----------
    settings : Settings
        With `eval_every`: so often, and on everything. Test and validation images whose number was
        asked for are always all looked at.
    state : TrainingState

    Returns
    -------
    EvaluationPlan
        It depends on the settings and the data alone, not on the machine's speed.
    """
    if settings.eval_every is not None:
        return EvaluationPlan(settings.eval_every)
    parts = state.part_sizes()
    held_out = [part for part in parts if part != "train"]
    asked = [part for part in held_out if getattr(settings, f"num_{part}") is not None]
    return thinned(
        parts,
        asked=asked,
        allowed=SHARE * state.step_cost * state.num_train,
        operations=state.operations(),
        least=state.least_sample,
    )


def thinned(
    parts: Mapping[str, int],
    *,
    asked: Collection[str] = (),
    allowed: float,
    operations: float,
    least: int,
) -> EvaluationPlan:
    """Thin evaluations until they look at no more images an epoch than allowed.

    Training images are left out first; then test and validation images, evenly; then epochs.

    Parameters
    ----------
    parts : mapping of str to int
        Images of each part, train among them.
    asked : collection of str
        Parts that are never thinned.
    allowed : float
        Images an epoch, on average.
    operations : float
        Floating point operations of a forward pass of an image.
    least : int
        Images of a part below which its accuracy tells little.

    Returns
    -------
    EvaluationPlan

    Examples
    --------
    >>> cifar = {"train": 50_000, "test": 10_000}
    >>> thinned(cifar, allowed=15_000, operations=8e7, least=500)
    EvaluationPlan(interval=1, counts={'train': 5000, 'test': 10000})
    >>> thinned(cifar | {"train": 2560}, allowed=768, operations=8e7, least=500)
    EvaluationPlan(interval=2, counts={'train': 500, 'test': 500})
    """
    whole = sum(parts.values())
    if whole <= allowed or whole * operations <= _NO_MATTER:
        return EvaluationPlan(1)
    room = int(allowed) - (whole - parts["train"])
    if room >= min(least, parts["train"]):
        return EvaluationPlan(1, {**parts, "train": min(room, parts["train"])})
    fixed = sum(parts[part] for part in asked)
    sample = max(least, int((allowed - fixed) / (len(parts) - len(asked))))
    counts = {part: size if part in asked else min(size, sample) for part, size in parts.items()}
    return EvaluationPlan(math.ceil(sum(counts.values()) / allowed), counts)


def describe(plan: EvaluationPlan, parts: Mapping[str, int], *, epochs: int, unit: str) -> str:
    """Say what a plan leaves out; "" where that is nothing.

    Parameters
    ----------
    plan : EvaluationPlan
    parts : mapping of str to int
        Images of each part.
    epochs : int
        Of the run.
    unit : str
        "images" or "words".
    """
    if plan.counts is None:
        return ""
    if plan.interval >= epochs:
        return f"evaluating after the last epoch alone (--eval-every 1: after each, on all {unit})"
    often = "every epoch" if plan.interval == 1 else f"every {plan.interval} epochs"
    looked_at = ", ".join(
        f"{plan.counts[part]:,} of {size:,} {part} {unit}" for part, size in parts.items()
    )
    return (
        f"evaluating {often} on {looked_at}, for about a tenth of the time of training; "
        f"after the last epoch on all (--eval-every 1: always on all)"
    )
