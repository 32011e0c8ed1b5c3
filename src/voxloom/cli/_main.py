"""Running a command: what it returns to the shell, and how it says what went wrong."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from enum import IntEnum
from io import TextIOWrapper
from pathlib import Path
from typing import Any

from voxloom._errors import CommandError, MissingExtraError, VoxloomError

_DEBUG = "--debug"


class ExitCode(IntEnum):
    """What the command returns to the shell.

    Examples
    --------
    >>> int(ExitCode.USAGE)
    2
    """

    OK = 0
    """It was done."""
    FOUND = 1
    """``check`` found what would stop a training."""
    USAGE = 2
    """The arguments cannot be used."""
    FAILED = 3
    """A file, the data, the disk or the memory did not allow it."""
    MISSING = 4
    """A library is missing; the message names the extra that brings it."""
    UNEXPECTED = 5
    """A defect of voxloom, or of code that was given to it; ``--debug`` shows where."""
    INTERRUPTED = 130
    """Stopped by Ctrl-C."""
    UNREAD = 141
    """What read the output stopped reading, as ``| head`` does; nothing is said."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code; what goes wrong is one sentence on stderr.

    Parameters
    ----------
    arguments : sequence of str, optional
        What was typed after ``voxloom``; that of this process if None. ``--debug``, anywhere
        before a ``--``, lets errors through with their traceback.

    Returns
    -------
    int
        An `ExitCode`.

    Examples
    --------
    >>> main(["--version"])
    voxloom 0.1.0
    0
    """
    _open_closed()
    _let_any_text_out()
    given, debug = _without_debug(list(sys.argv[1:] if arguments is None else arguments))
    try:
        with _short_warnings():
            return _run(given or ["--help"])
    except BrokenPipeError:
        return _drop_output()
    except KeyboardInterrupt:
        if debug:
            raise
        return _say("stopped", ExitCode.INTERRUPTED)
    except Exception as error:
        if debug:
            raise
        if _was_stopped(error):
            return _say("stopped", ExitCode.INTERRUPTED)
        _settle_output()
        return _say(*_explain(error))


def _run(arguments: list[str]) -> int:
    try:
        from voxloom.cli._app import app
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("voxloom"):
            raise
        raise MissingExtraError(
            f"{error.name} is needed for the command line and is not installed; "
            "run: pip install 'voxloom[cli]'"
        ) from error
    # Not standalone: errors come back as exceptions, and the number a command returns as it is.
    try:
        code = app(arguments, prog_name="voxloom", standalone_mode=False)
        sys.stdout.flush()
    except SystemExit as error:  # how typer and rich leave when nobody reads
        raise BrokenPipeError from error
    if code == ExitCode.INTERRUPTED:  # typer has caught it
        raise KeyboardInterrupt
    return int(code or ExitCode.OK)


@contextmanager
def _short_warnings() -> Iterator[None]:
    """Show what a warning says, and not the line of our code that gave it."""
    with warnings.catch_warnings():
        warnings.showwarning = lambda message, *_, **__: print(
            f"voxloom: {_plain(message)}", file=sys.stderr
        )
        yield


def _open_closed() -> None:
    """Let what is written to a stream that the caller has closed go nowhere."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open("w"))  # noqa: SIM115  for as long as we run


def _let_any_text_out() -> None:
    """Escape letters that a stream does not know, as ASCII's do not: a name must not end us."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors="backslashreplace")


def _settle_output() -> None:
    """Write what is buffered; drop it where the disk is full, or Python would fail again."""
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        _drop_output()


def _drop_output() -> int:
    """Let what is still buffered go nowhere, or Python would complain of it when it ends."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return int(ExitCode.UNREAD)


def _without_debug(arguments: list[str]) -> tuple[list[str], bool]:
    """Take the flag out wherever it stands, so that it can be added at the end of a line."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    options = [one for one in arguments[:end] if one != _DEBUG]
    return options + arguments[end:], len(options) < end


def _explain(error: Exception) -> tuple[str, ExitCode]:
    """Return a sentence and the exit code for what went wrong."""
    written: Any = getattr(error, "format_message", None)
    if written is not None:  # typer's own errors, whichever library it has them from
        return _plain(written()), ExitCode.USAGE
    text = _plain(error) or type(error).__name__
    if isinstance(error, CommandError):
        return text, ExitCode.USAGE
    if isinstance(error, MissingExtraError):
        return text, ExitCode.MISSING
    if type(error).__name__ == "Abort":
        return "stopped", ExitCode.INTERRUPTED
    if isinstance(error, VoxloomError | MemoryError):
        return text, ExitCode.FAILED
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}{error.strerror or text}", ExitCode.FAILED
    return f"unexpected {type(error).__name__}: {text} (see {_DEBUG})", ExitCode.UNEXPECTED


def _was_stopped(error: BaseException | None) -> bool:
    """Whether Ctrl-C is behind an error: Python wraps it where a class is being made."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__ or error.__context__
    return error is not None


def _plain(message: Any) -> str:
    """Return a message as one line: those of other people's code may have many."""
    return " ".join(str(message).split())


def _say(sentence: str, code: ExitCode) -> int:
    print(f"voxloom: {sentence}", file=sys.stderr)
    return int(code)
