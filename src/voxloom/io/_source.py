"""The one interface to voxels, on disk or in memory."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, final

import numpy as np
import numpy.typing as npt

from voxloom._errors import GeometryError
from voxloom.geometry import Affine, Box, Shape3, Space, as_affine

Array = npt.NDArray[Any]
Shape4 = tuple[int, int, int, int]


class VolumeSource(ABC):
    """One volume: its header at once, its voxels when asked for.

    A source is a value: it can be pickled, sent to a worker and read there, and reading
    does not change it. Opening reads the header only.

    Attributes
    ----------
    shape : (C, W, H, D) tuple of int
        Number of channels and of voxels along each axis.
    dtype : numpy.dtype
        Type of the voxels that `read` gives, in native byte order.
    space : Space
        The grid and where it lies in the world.
    reads_regions : bool
        Whether `read(box)` costs about what the box holds, not the volume.
    path : str or None
        Where the volume comes from, for messages.
    chunk_shape : (w, h, d) tuple of int, or None
        What is decoded together, where the volume lies in chunks.
    """

    shape: Shape4
    dtype: np.dtype[Any]
    space: Space
    reads_regions: bool
    path: str | None
    chunk_shape: Shape3 | None = None

    @abstractmethod
    def read(self, box: Box | None = None) -> Array:
        """Return the voxels in `box`, or all, as ``(C, w, h, d)`` in any memory order.

        The result may be a read-only view of a memory map or of the volume itself: copy
        it before writing. The box must fit in the volume.
        """

    def mapped(self) -> Array | None:
        """Return all voxels as a view of a memory map, where there is one; else None.

        Nothing is read before it is touched. The file is looked at now: whoever reads several
        boxes one after the other takes them from the view, and asks again the next time.

        Raises
        ------
        VolumeReadError
            If the file has another size than its header said.
        """
        return None

    def prefetch(self, box: Box) -> None:  # noqa: B027  most readers read at once what they need
        """Ask the system for what a box of the map needs, before it is touched."""

    def bring_in(self) -> None:  # noqa: B027  most readers read what they are asked for
        """Read the whole file of a map into memory at once: less work than part by part."""

    def release(self) -> None:  # noqa: B027  most readers leave nothing behind
        """Let go of memory that reading left behind and that can be had again, such as a map's."""

    @property
    def spatial_shape(self) -> Shape3:
        """Number of voxels along each axis."""
        return self.space.spatial_shape

    @property
    def affine(self) -> Affine:
        """Voxel indices to world, RAS+, mm."""
        return self.space.affine

    def check_whole(self) -> None:  # noqa: B027  most know it from the header, or not before reading
        """Raise where a file can be seen to be cut short although its header is fine.

        It costs next to nothing for a file that is whole, and says nothing of damage inside.

        Raises
        ------
        VolumeReadError
            If it is.
        """

    def check_box(self, box: Box) -> None:
        """Raise unless the box lies wholly inside the volume.

        Raises
        ------
        GeometryError
            If it overhangs.
        """
        if not box.fits(self.spatial_shape):
            raise GeometryError(
                f"{self.path or 'the volume'} has spatial shape {self.spatial_shape}, "
                f"the box from {box.index_ini} to {box.index_fin} does not lie inside it"
            )


@final
class ArraySource(VolumeSource):
    """Voxels in memory.

    Parameters
    ----------
    array : (C, W, H, D) array
        The voxels; kept, not copied.
    affine : (4, 4) array, optional
        Voxel indices to world, RAS+, mm. The identity if None.
    path : str, optional
        Where the voxels came from.

    Examples
    --------
    >>> source = ArraySource(np.zeros((1, 4, 5, 6), dtype=np.int16))
    >>> source.read(Box((0, 0, 0), (2, 2, 2))).shape
    (1, 2, 2, 2)
    """

    reads_regions = True

    def __init__(
        self, array: Array, affine: npt.ArrayLike | None = None, path: str | None = None
    ) -> None:
        if array.ndim != 4 or 0 in array.shape:
            raise GeometryError(
                f"voxels are an array (C, W, H, D) without empty axes, got shape {array.shape}"
            )
        channels, w, h, d = array.shape
        self.array = array
        self.shape = (channels, w, h, d)
        self.dtype = array.dtype
        self.space = Space((w, h, d), as_affine(affine))
        self.path = path

    def read(self, box: Box | None = None) -> Array:
        """Return a view of the voxels in `box`, or of all."""
        if box is None:
            return self.array
        self.check_box(box)
        return self.array[(slice(None), *box.slices)]
