"""The command line: `app` holds the commands, the other modules their options and output."""

from genpredict.cli.app import app, main, run

__all__ = ["app", "main", "run"]
