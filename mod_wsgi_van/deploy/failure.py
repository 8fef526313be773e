"""What a deploy says when it fails."""


class DeployFailed(RuntimeError):
    """The text says what failed and what to do; further lines are those of a log."""
