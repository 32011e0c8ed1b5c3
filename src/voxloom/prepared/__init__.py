"""Data sets prepared once, for reads that cost what a patch costs."""

from voxloom.prepared._cache import VolumeCache
from voxloom.prepared._prepare import prepare
from voxloom.prepared._store import open_prepared

__all__ = ["VolumeCache", "open_prepared", "prepare"]
