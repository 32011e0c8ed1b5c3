"""Reading a pickle of others that holds plain data, and nothing that could run."""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any, Final

from voxloom._errors import LayoutError

# Containers, text and numbers need no name to be looked up. These are what arrays and scalars of
# NumPy are rebuilt with; the modules have had two names.
_ALLOWED: Final = {
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("_codecs", "encode"),
    *(
        (f"numpy.{core}.{module}", name)
        for core in ("core", "_core")
        for module, name in (
            ("multiarray", "_reconstruct"),
            ("multiarray", "scalar"),
            ("numeric", "_frombuffer"),
        )
    ),
}


def read_plain_pickle(path: Path) -> Any:
    """Return what a pickle holds: containers, text, numbers, and arrays of numbers.

    Raises
    ------
    LayoutError
        If it names anything else, which is not looked up and not called, or is damaged.
    """
    try:
        return _PlainUnpickler(io.BytesIO(path.read_bytes())).load()
    except LayoutError as error:
        raise LayoutError(f"{path}: {error}") from None
    except Exception as error:
        raise LayoutError(
            f"{path}: is not a pickle of plain data, {type(error).__name__}: {error}; "
            "preprocess the case again"
        ) from error


class _PlainUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise LayoutError(
                f"the pickle asks for {module}.{name}; only containers, numbers and arrays of "
                "NumPy are read, so that no file can run anything"
            )
        return super().find_class(module, name)
