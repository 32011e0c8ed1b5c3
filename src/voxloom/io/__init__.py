"""Voxels on disk and in memory: one interface, one reader a file."""

from voxloom.io._blosc2 import Blosc2Source
from voxloom.io._cached import CachedSource
from voxloom.io._channels import ChannelSource
from voxloom.io._dicom import DicomSource
from voxloom.io._file_state import file_state, files_of
from voxloom.io._four_bits import FourBitVolume, to_four_bits
from voxloom.io._hdf5 import Hdf5Source
from voxloom.io._itk import ItkSource
from voxloom.io._nibabel import NibabelSource
from voxloom.io._nifti import NiftiSource
from voxloom.io._npy import NpySource
from voxloom.io._prepared import PreparedSource, reversed_axes, write_reversed
from voxloom.io._reader import Reader, ReaderSource
from voxloom.io._registry import Opener, known_suffixes, open_volume, register_reader
from voxloom.io._source import Array, ArraySource, Shape4, VolumeSource
from voxloom.io._tiff import TiffSource
from voxloom.io._write import nifti_header, write_nifti
from voxloom.io._write_volume import write_volume
from voxloom.io._zarr import ZarrSource
from voxloom.io._zarr_write import chunk_for, write_zarr

__all__ = [
    "Array",
    "ArraySource",
    "Blosc2Source",
    "CachedSource",
    "ChannelSource",
    "DicomSource",
    "FourBitVolume",
    "Hdf5Source",
    "ItkSource",
    "NibabelSource",
    "NiftiSource",
    "NpySource",
    "Opener",
    "PreparedSource",
    "Reader",
    "ReaderSource",
    "Shape4",
    "TiffSource",
    "VolumeSource",
    "ZarrSource",
    "chunk_for",
    "file_state",
    "files_of",
    "known_suffixes",
    "nifti_header",
    "open_volume",
    "register_reader",
    "reversed_axes",
    "to_four_bits",
    "write_nifti",
    "write_reversed",
    "write_volume",
    "write_zarr",
]
