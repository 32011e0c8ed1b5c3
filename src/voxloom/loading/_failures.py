"""Errors of the queue: they say which patch could not be made, where and why."""

from __future__ import annotations

import copy
import signal
import traceback
from collections.abc import Callable, Sequence

from voxloom._errors import PatchError, QueueError, VoxloomError
from voxloom.loading._board import Position
from voxloom.loading._memory import limit_bytes, pretty
from voxloom.loading._messages import Broken, Failed, Lost
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
        f"{_where(describe, job, event.place)} failed in stage {event.stage!r}: "
        f"{type(event.cause).__name__}: {event.cause}"
    )
    error = _error_like(event.cause)(message)
    error.__cause__ = event.cause
    error.add_note(f"in the worker:\n{event.report}")
    error.add_note(_how_to_see(job, event.place))
    return error


def worker_lost(describe: Callable[[int], str], job: Job, event: Lost, deaths: int) -> PatchError:
    """Return the error for a job that has ended so many workers."""
    return PatchError(
        f"{_where(describe, job)} ended {deaths} workers, the last one in stage "
        f"{event.position.stage!r} ({_reason(event)}, {_memory(event.position)}){_remedy(event)}. "
        f"{_how_to_see(job)}"
    )


def worker_hung(
    describe: Callable[[int], str], job: Job, position: Position, timeout_s: float, stacks: str
) -> PatchError:
    """Return the error for work that does not get on; the stacks are its note."""
    error = PatchError(
        f"{_where(describe, job)} hangs in stage {position.stage!r}: no worker reported anything "
        f"for {timeout_s:g} s ({_memory(position)}). Is a disk or network folder gone? If the "
        f"work only takes long, raise timeout"
    )
    error.add_note(f"stacks of the workers:\n{stacks}")
    return error


def workers_end(event: Lost) -> QueueError:
    """Return the error for workers that end before they are ready."""
    return QueueError(
        f"workers end before they do anything ({_reason(event)}){_remedy(event)}; what they wrote "
        f"to standard error says why. A script whose own functions are sent to workers needs "
        f"`if __name__ == '__main__':` around what it runs; or use num_workers=0"
    )


def worker_broken(event: Broken) -> QueueError:
    """Return the error for a worker that cannot use what it was sent."""
    error = QueueError(
        f"a worker could not unpack the data set, its transform or the sampler, in stage 'start': "
        f"{event.cause}. What is defined in a notebook or typed in does not exist in worker "
        f"processes: put it in a module that they can import, or use num_workers=0"
    )
    error.add_note(f"in the worker:\n{event.report}")
    return error


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


def queue_closed() -> QueueError:
    """Return the error for a queue that is asked for patches after it was closed."""
    return QueueError("the queue is closed; make a new one")


def interrupted(cause: BaseException) -> VoxloomError:
    """Return the error for a queue whose books were being changed when something came up."""
    if isinstance(cause, VoxloomError):
        return to_raise(cause)
    error = QueueError(
        f"the queue was interrupted by {type(cause).__name__} while it gave out work; make a new "
        f"one and load_state_dict what this one's state_dict() says"
    )
    error.add_note("interrupted here:\n" + "".join(traceback.format_exception(cause)))
    return error


def to_raise(error: VoxloomError) -> VoxloomError:
    """Return a copy of an error that is kept.

    What is raised gets a traceback, whose frames hold the queue: if what is kept were raised, a
    queue that is left with an error would never be collected, nor its workers end.
    """
    copied = copy.copy(error)
    copied.__cause__ = error.__cause__
    return copied


def _reason(event: Lost) -> str:
    code = event.exit_code
    if code is None or code >= 0:
        return f"exit code {code}"
    return f"signal {signal.Signals(-code).name}"


def _remedy(event: Lost) -> str:
    """Return what to do about a death, where its signal says what it was."""
    if _reason(event) != "signal SIGKILL":
        return ""
    return (
        "; SIGKILL usually means that memory ran out, and the kernel ended what had most: use "
        "fewer workers, smaller volumes or a smaller max_length"
    )


def _where(describe: Callable[[int], str], job: Job, place: int | None = None) -> str:
    index = job.places[0][0] if place is None else place
    return f"{describe(job.subject)} (epoch {job.epoch}, plan index {index})"


def _how_to_see(job: Job, place: int | None = None) -> str:
    index = job.places[0][0] if place is None else place
    return f"To make it again here and now: queue.explain({index}, epoch={job.epoch})"


def _memory(position: Position) -> str:
    limit = limit_bytes()
    of = "" if limit is None else f" of the {pretty(limit)} that all processes may take"
    return f"its worker had taken up to {position.peak_bytes / 2**20:.0f} MiB{of}"


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
