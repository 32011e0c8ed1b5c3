"""Voxels on disk and in memory: one interface, one reader a file."""

from voxloom.io._channels import ChannelSource
from voxloom.io._nibabel import NibabelSource
from voxloom.io._nifti import NiftiSource
from voxloom.io._npy import NpySource
from voxloom.io._reader import Reader, ReaderSource
from voxloom.io._registry import Opener, open_volume, register_reader
from voxloom.io._source import Array, ArraySource, Shape4, VolumeSource
from voxloom.io._write import write_nifti

__all__ = [
    "Array",
    "ArraySource",
    "ChannelSource",
    "NibabelSource",
    "NiftiSource",
    "NpySource",
    "Opener",
    "Reader",
    "ReaderSource",
    "Shape4",
    "VolumeSource",
    "open_volume",
    "register_reader",
    "write_nifti",
]
