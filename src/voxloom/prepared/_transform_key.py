"""What a transform does, as one name: its source text and its state, and those of what it holds."""

from __future__ import annotations

import dis
import hashlib
import inspect
import io
import pickle
import random
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any, Final

import numpy as np

from voxloom._errors import PreparedError

_DIGEST_BYTES: Final = 16
_INSTALLED: Final = frozenset({"site-packages", "dist-packages"})
_STRING: Final = "<string>"  # the file of all code that was made from one
_GENERATORS: Final = (random.Random, np.random.RandomState, np.random.Generator)
"""Libraries give each transform one, and begin it anew in each process; none is drawn from here."""


def transform_key(transform: Any) -> str:
    """Return a name for what a transform does: its source text and its state.

    Functions and objects that it holds count as well: steps of a chain, arguments of a partial,
    variables of a closure; and what it uses of its own module: constants, functions, classes. What
    it calls elsewhere is not followed: prepare with ``overwrite=True`` after changing that.

    Raises
    ------
    PreparedError
        If its state cannot be pickled.
    """
    if transform is None:
        return "none"
    try:
        described = _describe(transform)
    except Exception as error:
        raise PreparedError(
            f"the transform {transform!r} cannot be pickled, so there is no telling whether it is "
            f"the same next time, {error}; make it a function of a module, or an object of plain "
            "attributes"
        ) from error
    return hashlib.blake2b(described, digest_size=_DIGEST_BYTES).hexdigest()


def _describe(value: Any) -> bytes:
    content = io.BytesIO()
    _Describer(content, protocol=5).dump(value)  # only hashed, never stored or read
    return content.getvalue()


class _Describer(pickle._Pickler):  # the one in C does not ask about sets
    """Pickles functions and classes by what they do instead of by their names."""

    def __init__(self, file: io.BytesIO, protocol: int) -> None:
        super().__init__(file, protocol)
        self._begun: set[int] = set()

    def reducer_override(self, value: Any) -> Any:
        """Return what stands for a value, or NotImplemented where pickle knows it."""
        parts: Any = None
        if isinstance(value, set | frozenset):
            parts = type(value).__name__, sorted(map(_describe, value))
        elif isinstance(value, _GENERATORS):
            parts = (type(value).__name__,)
        elif isinstance(value, ModuleType):
            parts = (value.__name__,)
        elif isinstance(value, CodeType):
            parts = value.co_code, value.co_consts, value.co_names
        elif isinstance(value, FunctionType | type):
            parts = self._definition(value)
        return NotImplemented if parts is None else (tuple, (parts,))

    def _definition(self, value: FunctionType | type) -> tuple[Any, ...] | None:
        name = f"{value.__module__}.{value.__qualname__}"
        if id(value) in self._begun:  # it holds itself
            return (name,)
        self._begun.add(id(value))
        held = _held_by_function(value) if isinstance(value, FunctionType) else _held_by(value)
        return None if held is None else (name, *held)


def _held_by_function(function: FunctionType) -> tuple[Any, ...]:
    cells = [cell.cell_contents for cell in function.__closure__ or () if _is_filled(cell)]
    code = function.__code__
    used = _used_of_module(function)
    return _source(code) or code, function.__defaults__, function.__kwdefaults__, cells, used


def _held_by(class_: type) -> tuple[Any, ...] | None:
    """Return the source of a class, else its functions; None where it has neither, as in C."""
    own = (getattr(value, "__func__", value) for value in vars(class_).values())
    functions = [value for value in own if isinstance(value, FunctionType)]
    source = _source(class_)
    if source is not None:
        return source, class_.__bases__, [_used_of_module(function) for function in functions]
    return (functions, class_.__bases__) if functions else None


def _used_of_module(function: FunctionType) -> list[tuple[str, Any]]:
    """Return the constants, functions and classes of its own module that a function reads.

    Of installed libraries nothing is followed: there is no end to it.
    """
    if _INSTALLED.intersection(Path(function.__code__.co_filename).parts):
        return []
    steps = list(_steps(function.__code__))
    read = {step.argval for step in steps if step.opname == "LOAD_GLOBAL"}
    written = {step.argval for step in steps if step.opname == "STORE_GLOBAL"}
    values = ((name, function.__globals__.get(name)) for name in sorted(read - written))
    return [(name, value) for name, value in values if _counts(value, function.__module__)]


def _steps(code: CodeType) -> Iterator[dis.Instruction]:
    yield from dis.get_instructions(code)
    for held in code.co_consts:
        if isinstance(held, CodeType):
            yield from _steps(held)


def _counts(value: Any, module: str) -> bool:
    if isinstance(value, FunctionType | type):
        return value.__module__ == module
    if isinstance(value, dict):
        return all(_counts(item, module) for pair in value.items() for item in pair)
    if isinstance(value, list | tuple | set | frozenset):
        return all(_counts(item, module) for item in value)
    return isinstance(value, str | bytes | int | float | complex | np.ndarray | np.generic)


def _source(described: CodeType | type) -> str | None:
    """Return its source text; None where Python has none, or has other lines for it.

    From 3.13 on it gives lines of what `python -c` runs for all code made from a string, and lines
    of the module for classes that were.
    """
    if isinstance(described, CodeType) and described.co_filename == _STRING:
        return None
    try:
        source = inspect.getsource(described)
    except (OSError, TypeError):
        return None
    is_other = isinstance(described, type) and f"class {described.__name__}" not in source
    return None if is_other else source


def _is_filled(cell: Any) -> bool:
    try:
        return cell.cell_contents is not None
    except ValueError:  # of a name that has no value yet
        return False
