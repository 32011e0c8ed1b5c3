"""NIfTI volumes: mapped where they are plain, decoded once where they are compressed."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from typing import Final, final

import numpy as np

from voxloom.geometry import Box, Space
from voxloom.io._gzip import check_length, decode_in_turn, decode_into, decoded_pieces
from voxloom.io._mapping import bring_in_pages, map_voxels, release_pages
from voxloom.io._nifti_header import read_nifti_header
from voxloom.io._prefetch import prefetch_box
from voxloom.io._source import Array, VolumeSource
from voxloom.io._spans import is_on_network, read_spans

_SLAB_BYTES: Final = 8 << 20
_LEAST_SLICES: Final = 32  # a cache line of voxels of two bytes, where they are turned


@final
class NiftiSource(VolumeSource):
    """A NIfTI-1 or NIfTI-2 file, ``.nii``, ``.nii.gz``, or a pair ``.hdr`` and ``.img``.

    The voxels come in the order of the file, first axis fastest. A plain file is memory
    mapped, and a box costs what it holds; on a network filesystem a box is read plane by plane
    instead. A gzip file can only be decoded from its
    beginning: reading a box stops after its last slice, and only reading up to the last
    slice reaches the checksum. The header's slope and intercept are applied to what is
    read; the voxels are then float32, or float64 for integers of 32 bits or more.

    Parameters
    ----------
    path : str or path-like
        The file; either one of a pair.

    Raises
    ------
    VolumeNotFoundError
        If there is no such file.
    VolumeReadError
        If the header contradicts itself or the size of the file.
    UnknownFormatError
        If the voxels are not plain numbers.

    Examples
    --------
    >>> import tempfile
    >>> from voxloom.io import write_nifti
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = write_nifti(f"{folder}/t1.nii.gz", np.ones((4, 5, 6), dtype=np.int16))
    ...     source = NiftiSource(path)
    ...     patch = source.read(Box((0, 0, 0), (2, 2, 2)))
    >>> source.shape, source.dtype.name, source.reads_regions
    ((1, 4, 5, 6), 'int16', False)
    >>> patch.shape
    (1, 2, 2, 2)
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.fspath(path)
        self.header = header = read_nifti_header(self.path)
        self.shape = header.shape
        self.space = Space(header.shape[1:], header.affine)
        self.reads_regions = not header.compressed
        native = header.disk_dtype.newbyteorder("=")
        self.dtype = np.result_type(native, np.float32) if header.scaling else native

    def read(self, box: Box | None = None) -> Array:
        """Return the voxels in `box`, or all, as ``(C, w, h, d)``, first axis fastest."""
        if box is not None:
            self.check_box(box)
        if box is not None and not self.header.compressed and is_on_network(self.header.voxel_path):
            return self._scale(self._read_spans(box))
        stored = self._decode(box) if self.header.compressed else self._map()
        voxels = stored.transpose(3, 0, 1, 2)
        if box is not None:
            voxels = voxels[(slice(None), *box.slices)]
        return self._scale(voxels)

    def mapped(self) -> Array | None:
        """Return a view of a plain file on a local disk, if its voxels are used as they lie."""
        if not self._is_mapped or self.header.scaling is not None:
            return None
        voxels = self._map().transpose(3, 0, 1, 2)
        return voxels if voxels.dtype.isnative and voxels.flags.aligned else None

    def check_whole(self) -> None:
        """Raise VolumeReadError where a compressed file is cut short, told by its last bytes."""
        header = self.header
        if header.compressed:
            check_length(header.voxel_path, header.offset + header.voxel_bytes, small_too=True)

    def prefetch(self, box: Box) -> None:
        """Ask for the pages of a box before it is read, where one channel is mapped."""
        header = self.header
        if self.shape[0] == 1 and not header.compressed:
            prefetch_box(
                header.voxel_path,
                box,
                spatial_shape=self.spatial_shape,
                offset=header.offset,
                itemsize=header.disk_dtype.itemsize,
            )

    def bring_in(self) -> None:
        """Read a plain file on a local disk into memory at once."""
        if self._is_mapped:
            bring_in_pages(self._map())

    def release(self) -> None:
        """Unmap the pages that were read, where the file is mapped; the system may keep them."""
        if self._is_mapped:
            release_pages(self._map())

    @property
    def unpacks_to_map(self) -> bool:
        """Whether it is one compressed file that, once decoded, can be mapped as it is."""
        header = self.header
        return (
            header.compressed
            and header.voxel_path == self.path
            and header.scaling is None
            and header.disk_dtype.isnative
            and header.offset % header.disk_dtype.itemsize == 0
        )

    def unpack(self) -> Iterator[memoryview]:
        """Yield the whole file decoded, each piece in memory that the next one overwrites.

        Raises
        ------
        VolumeReadError
            If the stream is damaged, or does not hold what the header says.
        """
        header = self.header
        return decoded_pieces(header.voxel_path, header.offset + header.voxel_bytes)

    def decode_into(
        self, take_memory: Callable[[int], Array], watch: Callable[[memoryview], None] | None = None
    ) -> Array:
        """Return the voxels of one compressed file, as they are stored, in memory that is given.

        Parameters
        ----------
        take_memory : callable
            Is asked for a uint8 array of so many bytes, once the file may hold them; whoever
            gives it may use it again.
        watch : callable, optional
            Is given all bytes of the file, piece by piece, as they are read.

        Raises
        ------
        VolumeReadError
            If the stream is damaged, or does not hold what the header says.
        """
        header = self.header
        path, skip = header.voxel_path, header.offset
        check_length(path, skip + header.voxel_bytes)
        memory = take_memory(header.voxel_bytes)
        decode_into(path, skip, memory.data, to_the_end=True, watch=watch)
        stored = memory.view(header.disk_dtype)
        shape = (*header.shape[1:], header.shape[0])
        return stored.reshape(shape, order="F").transpose(3, 0, 1, 2)

    def slabs(self) -> Iterator[tuple[int, int, Array]]:
        """Yield the voxels of one compressed file, as they are stored, a few slices at a time.

        Whoever wants them in another order has them turned while they are in the cache, and needs
        no memory for a second volume.

        Yields
        ------
        channel, first : int
            Of which channel, and from which slice on.
        voxels : (w, h, n) array
            First axis fastest, in memory that the next ones overwrite.

        Raises
        ------
        VolumeReadError
            If the stream is damaged, or does not hold what the header says.
        """
        header = self.header
        channels, w, h, d = header.shape
        check_length(header.voxel_path, header.offset + header.voxel_bytes)
        slice_bytes = w * h * header.disk_dtype.itemsize
        most = min(max(_SLAB_BYTES // slice_bytes, _LEAST_SLICES), d)
        memory = np.empty(most * slice_bytes, np.uint8)
        places = [(channel, first) for channel in range(channels) for first in range(0, d, most)]
        buffers = [memory[: min(most, d - first) * slice_bytes].data for _, first in places]
        filled = decode_in_turn(header.voxel_path, header.offset, buffers)
        for (channel, first), buffer in zip(places, filled, strict=True):
            voxels = np.frombuffer(buffer, header.disk_dtype)
            yield channel, first, voxels.reshape((w, h, -1), order="F")

    def _read_spans(self, box: Box) -> Array:
        header = self.header
        stored = read_spans(
            header.voxel_path,
            (*box.slices, slice(0, header.shape[0])),
            shape=(*header.shape[1:], header.shape[0]),
            dtype=header.disk_dtype,
            offset=header.offset,
        )
        return np.moveaxis(stored, -1, 0)

    @property
    def _is_mapped(self) -> bool:
        """Whether boxes are read from a map: of a plain file on a local disk."""
        return not self.header.compressed and not is_on_network(self.header.voxel_path)

    def _map(self) -> Array:
        header = self.header
        return map_voxels(
            header.voxel_path,
            shape=(*header.shape[1:], header.shape[0]),
            dtype=header.disk_dtype,
            offset=header.offset,
            file_bytes=header.file_bytes,
        )

    def _decode(self, box: Box | None) -> Array:
        header = self.header
        channels, w, h, d = header.shape
        check_length(header.voxel_path, header.offset + header.voxel_bytes)
        slices = channels * d if box is None else (channels - 1) * d + box.index_fin[2]
        # The system gives memory on first touch: what lies behind the box is never paid for.
        stored = np.empty(math.prod(header.shape), header.disk_dtype)
        buffer = stored.view(np.uint8).data[: slices * w * h * stored.itemsize]
        whole = slices == channels * d
        decode_into(header.voxel_path, header.offset, buffer, to_the_end=whole)
        return stored.reshape((w, h, d, channels), order="F")

    def _scale(self, voxels: Array) -> Array:
        if self.header.scaling is None:
            if voxels.dtype.isnative and voxels.flags.aligned:
                return voxels
            return voxels.astype(self.dtype)
        slope, inter = self.header.scaling
        scaled = voxels.astype(self.dtype)
        with np.errstate(over="ignore", invalid="ignore"):
            scaled *= slope
            scaled += inter
        return scaled
