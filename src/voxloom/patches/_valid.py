"""Which voxels can be the centre of a patch, and where the patch of a centre begins."""

from __future__ import annotations

from voxloom.geometry import Box, Index3, Shape3


def valid_centres(spatial_shape: Shape3, patch_size: Shape3) -> Box:
    """Return the voxels whose patch lies inside the volume.

    The centre of a patch is its voxel ``size // 2``. Along an axis on which the patch is
    larger than the volume there is one centre: it spreads what is missing evenly, and where
    that is odd, the one place more lies before the volume.

    Examples
    --------
    >>> valid_centres((10, 10, 10), (3, 4, 10))
    Box(index_ini=(1, 2, 5), index_fin=(9, 9, 6))
    >>> valid_centres((4, 10, 10), (7, 10, 10)).index_ini
    (1, 5, 5)
    """
    (i, w), (j, h), (k, d) = map(_centres_of_axis, spatial_shape, patch_size)
    return Box.at((i, j, k), (w, h, d))


def index_ini_of(centre: Index3, patch_size: Shape3) -> Index3:
    """Return the first voxel of the patch around `centre`.

    Examples
    --------
    >>> index_ini_of((5, 5, 5), (3, 4, 10))
    (4, 3, 0)
    """
    i, j, k = (c - n // 2 for c, n in zip(centre, patch_size, strict=True))
    return i, j, k


def _centres_of_axis(length: int, size: int) -> tuple[int, int]:
    missing = size - length
    if missing > 0:
        return size // 2 - (missing + 1) // 2, 1
    return size // 2, 1 - missing
