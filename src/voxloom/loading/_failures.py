"""Errors of the queue: they say which patch could not be made, where and why."""

from __future__ import annotations

import signal

from voxloom._errors import PatchError
from voxloom.loading._messages import Failed, Lost
from voxloom.loading._work import Job


def patch_error(job: Job, event: Failed) -> PatchError:
    """Return the error for an exception in a worker.

    It is a PatchError and also of the type of its cause, so that what a caller would catch
    around the transform or the reader itself is caught here too.
    """
    message = (
        f"{_where(job)} failed in stage {event.stage!r}: "
        f"{type(event.cause).__name__}: {event.cause}"
    )
    error = _error_like(event.cause)(message)
    error.__cause__ = event.cause
    error.add_note(f"in the worker:\n{event.report}")
    return error


def worker_lost(job: Job, event: Lost) -> PatchError:
    """Return the error for a job whose workers keep dying."""
    code = event.exit_code
    reason = f"exit code {code}"
    if code is not None and code < 0:
        reason = f"signal {signal.Signals(-code).name}"
    return PatchError(
        f"{_where(job)} ended two workers ({reason}); if that was SIGKILL, the machine may have "
        f"run out of memory: use fewer workers or smaller volumes"
    )


def _where(job: Job) -> str:
    return f"subject {job.subject} (epoch {job.epoch}, plan index {job.places[0][0]})"


def _error_like(cause: BaseException) -> type[PatchError]:
    def initialise(self: PatchError, message: str) -> None:
        Exception.__init__(self, message)

    def show(self: PatchError) -> str:
        return str(self.args[0])

    if not isinstance(cause, Exception) or isinstance(cause, StopIteration | PatchError):
        return PatchError
    members = {"__init__": initialise, "__str__": show, "__module__": PatchError.__module__}
    try:
        return type("PatchError", (PatchError, type(cause)), members)
    except TypeError:  # the two cannot be one class
        return PatchError
