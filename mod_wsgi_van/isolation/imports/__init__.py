"""The isolation in this process: a private import system per release."""

from .isolation import ImportsIsolation

__all__ = ["ImportsIsolation"]
