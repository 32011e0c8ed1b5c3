"""One DICOM file, of a frame or of many: rows are read where its voxels lie as plain numbers."""

from __future__ import annotations

import os
from typing import final

from voxloom.geometry import Box
from voxloom.io._dicom_slice import PLAIN_TAGS, plain_slice
from voxloom.io._itk import decode_itk, read_itk_header
from voxloom.io._library import space_in
from voxloom.io._source import Array, VolumeSource


@final
class DicomFileSource(VolumeSource):
    """A DICOM file; its frames, in the order in which they lie, are the third axis.

    Shape, type, voxels and affine are what ITK gives. Of uncompressed frames a box reads its
    rows; others are decoded whole.

    Parameters
    ----------
    path : str or path-like
        The file.

    Raises
    ------
    VolumeNotFoundError
        If there is no such file.
    VolumeReadError
        If it is damaged, no volume, or has fewer voxels than its header says.
    UnknownFormatError
        If the voxels are not plain numbers.
    MissingExtraError
        If SimpleITK is not installed.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path: str = os.fspath(path)
        self.files = (self.path,)
        self._header = header = read_itk_header(self.path, PLAIN_TAGS)
        self._plain = plain_slice(self.path, header, header.tags)
        self.reads_regions = self._plain is not None
        self.shape = header.shape
        self.dtype = header.dtype
        self.space = space_in(self.path, header.shape[1:], header.affine)

    def read(self, box: Box | None = None) -> Array:
        """Return the voxels in `box`, or all."""
        if box is not None:
            self.check_box(box)
        places = (box or Box((0, 0, 0), self.spatial_shape)).slices
        if self._plain is not None:
            return self._plain.read(self.path, places)[None]
        return decode_itk(self.path, self._header)[(slice(None), *places)]
