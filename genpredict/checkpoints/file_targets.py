"""Accuracies that a training script has written beside the weights, by the names that are common.

Every script means something else by them: percent or a share of one, of the last epoch or the best.
So they are shown, and become targets only where that is asked for.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from genpredict.checkpoints.roles import words

_TARGETS: tuple[tuple[str, frozenset[str]], ...] = (
    ("train_accuracy", frozenset(("train", "training"))),
    ("validation_accuracy", frozenset(("val", "valid", "validation"))),
    ("test_accuracy", frozenset(("test", "best", "eval", "top"))),
)
_MOST_EPOCHS = 1e9
_ACCURACY = frozenset(("acc", "accuracy", "prec", "precision", "top", "acc1", "prec1"))
_OTHER = re.compile(r"loss|err|epoch|step|(?<![a-z])lr|time|top_?5|acc_?5|prec_?5", re.IGNORECASE)


def is_accuracy(key: str) -> bool:
    """Return whether a key is that of an accuracy.

    Examples
    --------
    >>> is_accuracy("best_acc1"), is_accuracy("val_loss"), is_accuracy("top5_acc")
    (True, False, False)
    """
    parts = set(words(key.rpartition(".")[2]))
    return not parts.isdisjoint(_ACCURACY) and _OTHER.search(key) is None


def targets_in(numbers: Mapping[str, float]) -> dict[str, str]:
    """Return which numbers of a file are accuracies, and of what.

    Parameters
    ----------
    numbers : mapping of str to float
        By the keys under which they stand.

    Returns
    -------
    dict of str to str
        Key → name of a target; the first key of each target.

    Examples
    --------
    >>> targets_in({"epoch": 3, "best_acc": 91.5, "train_acc": 99.0, "val_loss": 0.3})
    {'best_acc': 'test_accuracy', 'train_acc': 'train_accuracy'}
    """
    taken: dict[str, str] = {}
    for key, value in numbers.items():
        if not is_accuracy(key) or not 0 <= value <= 100:
            continue
        parts = set(words(key.rpartition(".")[2]))
        default = "test_accuracy"
        target = next((name for name, known in _TARGETS if not parts.isdisjoint(known)), default)
        if target not in taken.values():
            taken[key] = target
    return taken


def accuracies(numbers: Mapping[str, float]) -> dict[str, float]:
    """Return the accuracies among the numbers of a file, in percent, and its epoch.

    A number of at most 1 is taken for a share, and so multiplied by 100.

    Examples
    --------
    >>> accuracies({"acc": 0.915})
    {'test_accuracy': 91.5}
    """
    epoch = numbers.get("epoch")
    known = {"epoch": float(epoch)} if epoch is not None and 0 <= epoch < _MOST_EPOCHS else {}
    return known | {
        target: float(numbers[key]) * (100 if numbers[key] <= 1 else 1)
        for key, target in targets_in(numbers).items()
    }
