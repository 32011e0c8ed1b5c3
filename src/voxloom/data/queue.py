"""The queue, as scripts of the field import it."""

from voxloom.loading import Queue

__all__ = ["Queue"]
