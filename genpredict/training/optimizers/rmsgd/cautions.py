"""What RMSGD warns of: a start that lifts pretrained rates, groups out of order, no epoch_step."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from statistics import median

import torch

from genpredict.errors import GenpredictWarning
from genpredict.training.optimizers.rates import Progress
from genpredict.training.optimizers.rmsgd.members import Members
from genpredict.training.optimizers.rmsgd.parameters import Group

#: Steps without an epoch_step that are too many where no epoch has told how many it has.
MOST_STEPS = 10_000
#: The same, in epochs of the greatest length so far.
MOST_EPOCHS = 1.5
#: A first gain of a rate by more than this is no training from random weights.
LARGEST_LIFT = 3.0
# The lines that called step and epoch_step, which torch wraps in two frames of its own.
_STACK = 4


def warn_of_start(progress: Mapping[int, Progress], found: Members) -> None:
    """Suggest start="measured" where the first epoch ends with signals in most layers.

    Parameters
    ----------
    progress : mapping of int to Progress
        Of the measured parameters after their first epoch.
    found : Members
        What they are.
    """
    lifts = []
    for index, one in progress.items():
        group = found.members[index].group
        if group is None or group["start"] != "zero":
            return
        lifts.append(one.rate / group["start_lr"])
    signals = sum(one.stable_rank > 0 for one in progress.values())
    if 2 * signals > len(progress) and median(lifts) > LARGEST_LIFT:
        warnings.warn(
            f"RMSGD: {signals} of {len(progress)} layers have a signal after the first epoch, "
            f"which lifts the learning rate of half of them more than {LARGEST_LIFT:g}-fold; for "
            f'pretrained weights give start="measured"',
            GenpredictWarning,
            stacklevel=_STACK,
        )


def warn_of_order(found: Members, other: Members) -> None:
    """Name parameters of which names and groups do not tell whose rate they take.

    Parameters
    ----------
    found, other : Members
        With earlier and with later groups first where only the group decides.
    """
    mine, theirs = found.sources(), other.sources()
    doubtful = [name for name, source in mine.items() if theirs[name] != source]
    if doubtful:
        _warn_of_sources(doubtful[0], len(doubtful), "the names in several groups do not tell")


def warn_of_nameless(groups: Sequence[Group], found: Members) -> None:
    """Say where parameters without names leave open whose rate others take.

    That is where the weight before one is another group's, and where several processes may hold
    parts of the parameters.
    """
    several = torch.distributed.is_available() and torch.distributed.is_initialized()
    several = several and torch.distributed.get_world_size() > 1
    place = {id(one): index for index, group in enumerate(groups) for one in group["params"]}
    doubtful = []
    for index, source in enumerate(found.measured.sources):
        if source is None or source == index:
            continue
        member, leader = found.members[index], found.members[source]
        if several or place[id(member.parameter)] != place[id(leader.parameter)]:
            doubtful.append(member.name)
    if doubtful:
        why = "several processes" if several else "several groups"
        _warn_of_sources(doubtful[0], len(doubtful), f"parameters of {why} without names")


def warn_of_steps(group: Group) -> None:
    """Ask for epoch_step once after more steps than an epoch has."""
    longest = group["longest_epoch"]
    most = int(MOST_EPOCHS * longest) if longest else MOST_STEPS
    if group["steps"] == most + 1:
        since = f"an epoch had at most {longest} so far" if longest else "none was called yet"
        warnings.warn(
            f"RMSGD: {most} steps without epoch_step ({since}); learning rates follow the stable "
            f"ranks only if it is called once an epoch, behind a wrapper as "
            f"optimizer.optimizer.epoch_step()",
            GenpredictWarning,
            stacklevel=_STACK,
        )


def _warn_of_sources(name: str, count: int, why: str) -> None:
    others = f" and {count - 1} more" if count > 1 else ""
    warnings.warn(
        f"RMSGD: whose learning rate {name}{others} should take is a guess ({why}); "
        f"give network=network, whose order decides",
        GenpredictWarning,
        stacklevel=_STACK + 1,
    )
