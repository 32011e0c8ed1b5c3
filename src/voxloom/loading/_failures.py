"""Errors of the queue: they say which patch could not be made, where and why."""

from __future__ import annotations

import signal
from collections.abc import Callable, Sequence

from voxloom._errors import PatchError, QueueError, VoxloomError
from voxloom.loading._messages import Failed, Lost
from voxloom.loading._work import Job
from voxloom.subjects import Subject


def describe(subjects: Sequence[Subject | None], index: int) -> str:
    """Return the index, the name and the files of a subject, for messages."""
    subject = subjects[index]
    if subject is None:
        return f"subject {index}"
    images = subject.get_images_dict(intensity_only=False)
    paths = {name: str(image["path"]) for name, image in images.items() if image.path is not None}
    return f"subject {index}, {subject.describe()}" + (f", files {paths}" if paths else "")


def patch_error(describe: Callable[[int], str], job: Job, event: Failed) -> PatchError:
    """Return the error for an exception in a worker.

    It is a PatchError and also of the type of its cause, so that what a caller would catch
    around the transform or the reader itself is caught here too.
    """
    message = (
        f"{_where(describe, job)} failed in stage {event.stage!r}: "
        f"{type(event.cause).__name__}: {event.cause}"
    )
    error = _error_like(event.cause)(message)
    error.__cause__ = event.cause
    error.add_note(f"in the worker:\n{event.report}")
    return error


def worker_lost(describe: Callable[[int], str], job: Job, event: Lost) -> PatchError:
    """Return the error for a job whose workers keep dying."""
    return PatchError(
        f"{_where(describe, job)} ended two workers ({_reason(event)}); if that was SIGKILL, the "
        f"machine may have run out of memory: use fewer workers or smaller volumes"
    )


def workers_end(event: Lost) -> QueueError:
    """Return the error for workers that end again and again before they report anything."""
    return QueueError(
        f"workers end before they do anything ({_reason(event)}); what they wrote to standard "
        f"error says why. A script whose own functions are sent to workers needs "
        f"`if __name__ == '__main__':` around what it runs; or use num_workers=0"
    )


def listener_lost(cause: BaseException) -> VoxloomError:
    """Return the error for an exception while the workers' reports were read or handled."""
    if isinstance(cause, VoxloomError):
        return cause
    error = QueueError(
        f"the reports of the workers could not be read: {type(cause).__name__}: {cause}; "
        f"make a new queue"
    )
    error.__cause__ = cause
    return error


def _reason(event: Lost) -> str:
    code = event.exit_code
    if code is None or code >= 0:
        return f"exit code {code}"
    return f"signal {signal.Signals(-code).name}"


def _where(describe: Callable[[int], str], job: Job) -> str:
    return f"{describe(job.subject)} (epoch {job.epoch}, plan index {job.places[0][0]})"


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
