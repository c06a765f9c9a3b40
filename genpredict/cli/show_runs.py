"""What the command line shows of runs: a line each, and a table of means."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Mapping, Sequence

from genpredict.cli.console import printable
from genpredict.training.comparison import Comparison
from genpredict.training.comparison_tables import to_text
from genpredict.training.run_folder import Run

_HEAD = ("state", "epochs", "train %", "test %", "val. %", "settings that differ")
#: Settings that name a run, not how its optimizer is set.
_WHO = ("recipe", "network", "dataset", "optimizer", "seed")
_FORMAT = "{:10} {:>9} {:>7} {:>7} {:>7}  "
_BELOW = "    "


def width() -> int:
    """Return the characters a line of the terminal."""
    return shutil.get_terminal_size((80, 24)).columns


def list_all(runs: Sequence[Run]) -> None:
    """Print a line a run; settings that do not fit go on below."""
    settings = [_settings(run) for run in runs]
    varied = _varied(settings)
    _print_row(_FORMAT.format(*_HEAD[:-1]), _HEAD[-1])
    for run, one in zip(runs, settings, strict=True):
        shown = [f"{name}={_value(one[name])}" for name in varied if one.get(name) is not None]
        _print_row(_FORMAT.format(*_numbers(run)), " ".join(shown) or run.id)


def _print_row(numbers: str, text: str) -> None:
    """Print a text beside numbers, and go on below; all of it below where there is no room."""
    room, margin = width() - len(numbers), f"\n{' ' * len(numbers)}"
    if room < max(map(len, text.split()), default=0):
        room, margin = width() - len(_BELOW), f"\n{_BELOW}"
        numbers += margin
    lines = textwrap.wrap(text, max(room, 1), break_long_words=False, break_on_hyphens=False)
    print(printable(numbers + margin.join(lines), lines=True))  # noqa: T201  the result itself


def show_comparison(table: Comparison) -> None:
    """Print a comparison within the width of the terminal."""
    print(printable(to_text(table, width()), lines=True))  # noqa: T201  the result itself


def _settings(run: Run) -> dict[str, object]:
    """Return what a run was asked for, what decides no result apart."""
    settings = run.settings
    left_out = {"hyperparameters", "device", "threads", "data_folder"}
    fields = {name: value for name, value in settings if name not in left_out}
    return {**fields, **settings.hyperparameters}


def _varied(settings: Sequence[Mapping[str, object]]) -> list[str]:
    """Name the settings in which runs differ; those that go with the optimizer only within one."""
    names = list(dict.fromkeys(name for one in settings for name in one))
    texts = [{name: str(one.get(name)) for name in names} for one in settings]

    def differ(name: str, among: Sequence[Mapping[str, str]]) -> bool:
        return len({text[name] for text in among}) > 1

    groups = [
        [text for text in texts if text["optimizer"] == optimizer]
        for optimizer in dict.fromkeys(text["optimizer"] for text in texts)
    ]
    return [
        name
        for name in names
        if (differ(name, texts) if name in _WHO else any(differ(name, part) for part in groups))
    ]


def _value(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _numbers(run: Run) -> tuple[str, str, str, str, str]:
    """Return state, epochs and accuracies of a run."""
    epochs = run.settings.epochs
    if run.is_over:
        summary = run.summary
        state, done = str(summary["status"]), f"{summary['epochs']}/{epochs}"
        return (state, done, *_accuracies(summary))
    progress = run.read_progress()
    if progress:
        return ("unfinished", f"{progress['epoch']:.1f}/{epochs}", "-", "-", "-")
    return ("unfinished", f"0/{epochs}", "-", "-", "-")


def _accuracies(summary: Mapping[str, object]) -> tuple[str, str, str]:
    parts = []
    for part in ("train", "test", "validation"):
        accuracy = summary.get(f"{part}_accuracy")
        parts.append(f"{accuracy:.2f}" if isinstance(accuracy, float) else "-")
    return parts[0], parts[1], parts[2]
