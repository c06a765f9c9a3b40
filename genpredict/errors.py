"""Errors that a user can meet: each names the file or parameter and the remedy."""

from __future__ import annotations

from pathlib import Path


class GenpredictError(Exception):
    """Base of every error that genpredict raises on bad input; the message is the whole story."""


class CheckpointError(GenpredictError):
    """A checkpoint that cannot be read or measured.

    Parameters
    ----------
    source : str or Path
        The file (or id) at fault; it leads the message.
    reason : str
        What is wrong, and what to do about it.
    """

    def __init__(self, source: str | Path, reason: str) -> None:
        super().__init__(f"{source}: {reason}")
        self.source = str(source)
        self.reason = reason

    def __reduce__(self) -> tuple[type[CheckpointError], tuple[str, str]]:
        """Pickle by its parts, so that a worker process can hand it on."""
        return type(self), (self.source, self.reason)


class StoreError(GenpredictError):
    """A scores store that cannot be made, opened, locked or continued."""


class GenpredictWarning(UserWarning):
    """Something that a reader of the result must know."""
