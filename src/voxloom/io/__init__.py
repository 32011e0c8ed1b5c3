"""Voxels on disk and in memory: one interface, one reader a file."""

from voxloom.io._source import Array, ArraySource, Shape4, VolumeSource

__all__ = ["Array", "ArraySource", "Shape4", "VolumeSource"]
