"""At home in other libraries: each is imported in the module of its name, and only there.

``voxloom.adapters.monai`` and ``voxloom.adapters.torchio`` let their transforms work on our
subjects, ``voxloom.adapters.lightning`` has a data module, and `PatchLoader` is a loader that
Lightning, Accelerate and a loop of your own can stop and resume.
"""

import importlib
from types import ModuleType

from voxloom.adapters._patch_loader import PatchLoader

__all__ = ["PatchLoader"]


def __getattr__(name: str) -> ModuleType:
    if name not in ("lightning", "monai", "torchio"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return importlib.import_module(f"{__name__}.{name}")
