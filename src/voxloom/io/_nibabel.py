"""Formats that nibabel reads and we do not: MGH, MINC, Analyze, and whatever it learns."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final, final

import numpy as np
from isal import igzip

from voxloom._errors import GeometryError, VolumeReadError, VoxloomError
from voxloom.geometry import Box, Space, as_affine
from voxloom.io._failures import DAMAGED, damaged, reading
from voxloom.io._gzip import is_gzip
from voxloom.io._shapes import check_numbers
from voxloom.io._source import Array, Shape4, VolumeSource

_PIECE_BYTES: Final = 1 << 18
_open_gzip: Final[Any] = igzip.IGzipFile


@final
class NibabelSource(VolumeSource):
    """A volume that nibabel reads. Axes after the third are channels; in MINC those before space.

    Importing nibabel costs about 150 ms, once in each process that opens such a file. The
    voxels keep their type where the file does not scale them, and are float32 or float64
    where it does.

    Parameters
    ----------
    path : str or path-like
        The file.

    Raises
    ------
    VolumeNotFoundError
        If there is no such file.
    VolumeReadError
        If nibabel cannot read it.
    UnknownFormatError
        If the voxels are not plain numbers.
    """

    reads_regions = False

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path: str = os.fspath(path)
        image = self._load()
        from nibabel.minc1 import Minc1Image  # that of the second version is derived from it

        self._image_class = type(image)
        check_numbers(self.path, np.dtype(image.get_data_dtype()))
        shape = tuple(int(n) for n in image.shape)
        self._leads_with_channels = isinstance(image, Minc1Image) and len(shape) > 3
        if self._leads_with_channels:
            shape = (*shape[-3:], *shape[:-3])
        self.shape = _four_axes(self.path, shape)
        self.dtype = _read_dtype(image)
        try:
            self.space = Space(self.shape[1:], as_affine(image.affine))
        except GeometryError as error:
            raise damaged(self.path, f"the header gives no usable affine, {error}") from error

    def read(self, box: Box | None = None) -> Array:
        """Decode the file and return the voxels in `box`, or all."""
        if box is not None:
            self.check_box(box)
        stored = self._decode()
        channels, w, h, d = self.shape
        if self._leads_with_channels:
            voxels = stored.reshape(self.shape)
        else:
            voxels = np.moveaxis(stored.reshape((w, h, d, channels), order="F"), -1, 0)
        if box is not None:
            voxels = voxels[(slice(None), *box.slices)]
        given: Array = voxels.astype(self.dtype, copy=False)
        return given

    def _decode(self) -> Array:
        with reading(self.path), ExitStack() as opened:
            Path(self.path).stat()
            try:
                files = self._image_class.filespec_to_file_map(self.path)
                # nibabel does not read up to the checksum, and decodes in another way where
                # indexed_gzip is installed.
                packed = [holder for holder in files.values() if _is_packed(holder.filename)]
                for holder in packed:
                    holder.fileobj = opened.enter_context(_open_gzip(holder.filename))
                stored: Array = np.asanyarray(self._image_class.from_file_map(files).dataobj)
                for holder in packed:
                    while holder.fileobj.read(_PIECE_BYTES):
                        pass
            except (VoxloomError, OSError, *DAMAGED):
                raise
            except Exception as error:
                raise _unreadable(self.path, error) from error
        return stored

    def _load(self) -> Any:
        import nibabel

        with reading(self.path), _raising_only(nibabel.imageglobals.logger):
            Path(self.path).stat()
            try:
                return nibabel.load(self.path)
            except OSError:
                raise
            except Exception as error:
                raise _unreadable(self.path, error) from error


@contextmanager
def _raising_only(logger: logging.Logger) -> Iterator[None]:
    """Keep nibabel from printing the errors that it raises, and let its warnings through."""
    logger.addFilter(_is_no_error)
    try:
        yield
    finally:
        logger.removeFilter(_is_no_error)


def _is_no_error(record: logging.LogRecord) -> bool:
    return record.levelno < logging.ERROR


def _is_packed(name: str) -> bool:
    return Path(name).exists() and is_gzip(name)  # some of an image's files may be left out


def _unreadable(path: str, error: Exception) -> VolumeReadError:
    return VolumeReadError(
        f"{path}: nibabel cannot read it, {type(error).__name__}: {error}; "
        "copy the file again, convert it, or pass reader="
    )


def _four_axes(path: str, shape: tuple[int, ...]) -> Shape4:
    if not shape or min(shape) < 1 or len(shape) > 5:
        raise damaged(path, f"expected 1 to 5 axes without empty ones, got shape {shape}")
    w, h, d, *channels = (*shape, 1, 1)[: max(3, len(shape))]
    return int(np.prod(channels, dtype=np.int64)), w, h, d


def _read_dtype(image: Any) -> np.dtype[Any]:
    disk: np.dtype[Any] = np.dtype(image.get_data_dtype()).newbyteorder("=")
    proxy = image.dataobj
    if getattr(proxy, "slope", None) == 1 and getattr(proxy, "inter", None) == 0:
        return disk
    return np.result_type(disk, np.float32)
