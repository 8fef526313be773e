"""What the command line reports in one line."""

import click


class Problem(click.ClickException):
    """The command cannot do what was asked; exit status 1."""


class Unusable(Problem):
    """A server cannot be had here; the text says why and what would help."""
