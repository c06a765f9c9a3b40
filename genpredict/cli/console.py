"""What the command line says while it works: progress, warnings, the last word.

Everything here goes to stderr; stdout is for results.
"""

from __future__ import annotations

import os
import sys
import time
import warnings as python_warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from io import TextIOWrapper
from pathlib import Path
from typing import Any, Literal

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

#: A log line at most this often (seconds) where there is no terminal.
LOG_EVERY = 10.0
#: Warnings of one kind beyond this many are counted, not printed.
MOST_WARNINGS = 10
#: Columns of a table that goes to a file or another program.
WIDE = 200
#: Exit code where the reader of standard output has gone; rich has the same.
BROKEN_PIPE = 1


def printable(text: object, *, lines: bool = False) -> str:
    r"""Write characters that steer a terminal, or turn the direction of text, by their numbers.

    Names of files, cells of manifests and messages in a store come from others.

    Parameters
    ----------
    text : object
    lines : bool
        Leave ends of lines as they are.

    Examples
    --------
    >>> printable("a\x1b[2Jb\n")
    'a\\x1b[2Jb\\n'
    """
    return "".join(
        c if c.isprintable() or (lines and c == "\n") else ascii(c)[1:-1] for c in str(text)
    )


class SafeConsole(Console):
    """A console that shows texts and styles of its own, and no others' escape sequences.

    Where NO_COLOR is set it shows no styles at all, bold and italics included.
    """

    def __init__(self, **options: Any) -> None:
        if os.environ.get("NO_COLOR"):
            options["color_system"] = None
        super().__init__(**options)

    def render_str(self, text: str, **options: Any) -> Text:
        """Return a text that is safe to print; rich calls it for every string."""
        return super().render_str(printable(text, lines=True), **options)


#: How much is said on the way; a command line sets it once.
LOUDNESS: ContextVar[Literal["quiet", "normal", "verbose"]] = ContextVar(
    "loudness", default="normal"
)
stderr = SafeConsole(stderr=True, highlight=False, soft_wrap=True, emoji=False)


def warn(warnings: Sequence[str]) -> None:
    """Print warnings, the first ones of many; all of them with -v."""
    most = len(warnings) if LOUDNESS.get() == "verbose" else MOST_WARNINGS
    for warning in warnings[:most]:
        stderr.print(f"[yellow]warning:[/] {_plain(warning)}")
    if len(warnings) > most:
        stderr.print(f"[yellow]warning:[/] … and {len(warnings) - most} more like these")


@contextmanager
def warnings_as_lines() -> Iterator[None]:
    """Print what Python warns of during a block as this program's own warnings, each once."""
    said: set[str] = set()

    def show(message: Warning | str, category: type[Warning], *args: Any, **more: Any) -> None:
        if str(message) not in said and issubclass(category, UserWarning):
            said.add(str(message))
            warn([str(message)])

    with python_warnings.catch_warnings():
        python_warnings.showwarning = show
        yield


def note(message: str) -> None:
    """Print a line about how things went; with -q nothing."""
    if LOUDNESS.get() != "quiet":
        stderr.print(_plain(message))


def tell_error(message: str) -> None:
    """Print why a command ends, whatever else is said."""
    stderr.print(_plain(message))


@contextmanager
def costs_told() -> Iterator[None]:
    """Say at the end of a block, with -v, how long it took and how much memory."""
    start, before = time.monotonic(), time.process_time()
    try:
        yield
    finally:
        if LOUDNESS.get() == "verbose":
            seconds, cpu = time.monotonic() - start, time.process_time() - before
            note(f"{seconds:.2f} s, {cpu:.2f} s of processor time{_peak()}")


def _peak() -> str:
    """Return the most memory this process has had, where the system tells."""
    try:
        import resource
    except ImportError:  # Windows
        return ""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return f", {most / (2**20 if sys.platform == 'darwin' else 1024):,.0f} MB of memory at most"


def forgive_encodings() -> None:
    """Let standard output that knows ASCII alone show other characters by number."""
    if isinstance(sys.stdout, TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="backslashreplace")


def piped(run: Callable[[list[str]], int], arguments: list[str]) -> int:
    """Run a command whose standard output may be an ASCII stream, or a pipe that closes early.

    Parameters
    ----------
    run : callable
        Takes the arguments, returns the exit code.
    arguments : list of str

    Returns
    -------
    int
        The exit code; that of a broken pipe (as in ``… | head``) where the reader has gone.
    """
    forgive_encodings()
    try:
        code = run(arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        # what is left in the buffer goes nowhere, so that the interpreter's last flush is silent
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    return code


def shows_bars() -> bool:
    """Return whether progress is a bar: on a terminal, and not with -q."""
    return stderr.is_terminal and LOUDNESS.get() != "quiet"


@contextmanager
def job_progress(total: int) -> Iterator[Callable[[int, int, int], None]]:
    """Show how far a job is: a bar on a terminal, else a log line now and then.

    Parameters
    ----------
    total : int
        Number of files.

    Yields
    ------
    callable
        To be told the files done, and the checkpoints done and failed in this run.
    """
    if not shows_bars():
        yield _log_lines(total)
        return
    columns = (
        TextColumn("scoring"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("files · {task.fields[done]} checkpoints · {task.fields[failed]} failed ·"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=stderr) as bar:
        task = bar.add_task("scoring", total=total, done=0, failed=0)
        yield lambda files, done, failed: bar.update(
            task, completed=files, done=done, failed=failed
        )


def _log_lines(total: int) -> Callable[[int, int, int], None]:
    """Return a progress callback that logs at most every `LOG_EVERY` seconds, and at the end."""
    start = time.monotonic()
    last = start

    def log(files: int, done: int, failed: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last < LOG_EVERY and files < total:
            return
        last = now
        note(
            f"{files}/{total} files, {done} checkpoints done, {failed} failed, {now - start:.0f} s"
        )

    return log


def _plain(text: str) -> str:
    """Escape what rich would take for markup, as in layer names such as attn.qkv[q]."""
    return printable(text, lines=True).replace("[", "\\[")


def describe_failures(path: Path, failures: Sequence[tuple[str, str]]) -> None:
    """List failed checkpoints with their reasons, the first ones of many; all with -v."""
    most = len(failures) if LOUDNESS.get() == "verbose" else MOST_WARNINGS
    for name, reason in failures[:most]:
        stderr.print(f"[red]failed:[/] {_plain(printable(name))}: {_plain(reason)}")
    if len(failures) > most:
        stderr.print(
            f"[red]failed:[/] … and {len(failures) - most} more; see them all with "
            f"`genpredict show {_plain(str(path))}`"
        )
    stderr.print("mend what failed, then run the same command with --retry-failed")


def results_console() -> Console:
    """Return a console for results: as wide as the terminal, wide enough where there is none."""
    forgive_encodings()
    plain = SafeConsole(highlight=False, emoji=False)
    if plain.is_terminal:
        return plain
    return SafeConsole(highlight=False, emoji=False, width=WIDE)
