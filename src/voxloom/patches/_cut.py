"""The one place that cuts patches out of volumes.

A NIfTI volume lies with its first axis fastest, a patch for a network with its last. NumPy's
own copy between the two touches a new cache line for every voxel; here a few rows of every plane
are packed into a scratch that stays in the cache, and turned from there. See
docs/design/cutting.md.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from voxloom._errors import GeometryError
from voxloom.geometry import Box, Shape3
from voxloom.io import Array, FourBitVolume
from voxloom.patches._padding import (
    PaddingMode,
    padded_indices,
    padding_value,
    parse_padding_mode,
    part_inside,
)
from voxloom.subjects import own_metadata

if TYPE_CHECKING:
    from voxloom.subjects import Image, Subject

_SCRATCH_BYTES: Final = 384 << 10  # with what is read and written, fits the second-level cache
_LINE_BYTES: Final = 64
_Read = Callable[[Box], Array]
_kept = threading.local()


def copy_box(array: Array, box: Box, out: Array, padding_mode: PaddingMode | None = None) -> None:
    """Copy a box of a volume into `out`, converting to its dtype on the way.

    Parameters
    ----------
    array : (C, W, H, D) array
        The volume, in any memory order.
    box : Box
        Which voxels; it may overhang the volume if `padding_mode` is given.
    out : (C, w, h, d) array
        Where they go, of any dtype; in the memory order of the volume for speed. Values it
        cannot hold wrap as in `numpy.copyto` with ``casting='unsafe'``.
    padding_mode : 'constant', 'edge', 'reflect', number, optional
        What lies outside the volume.

    Raises
    ------
    GeometryError
        If the box overhangs and there is no padding mode, or `out` has another shape.

    Examples
    --------
    >>> volume = np.asfortranarray(np.arange(27, dtype=np.int16).reshape(1, 3, 3, 3))
    >>> out = np.empty((1, 2, 1, 2), dtype=np.float32)
    >>> copy_box(volume, Box((1, 1, 1), (3, 2, 3)), out)
    >>> out.ravel().tolist()
    [13.0, 14.0, 22.0, 23.0]
    """
    channels, w, h, d = array.shape

    def read(part: Box) -> Array:
        return array[(slice(None), *part.slices)]

    _fill(read, channels, (w, h, d), box, out, padding_mode)


def copy_image_box(
    image: Image, box: Box, out: Array, padding_mode: PaddingMode | None = None
) -> None:
    """Copy a box of an image into `out`; only the box is read where the file allows it.

    Parameters and errors are those of `copy_box`, with an image in place of the array.
    """
    read: _Read = image.read
    if image.is_packed:
        read = _decoded(image)
    _fill(read, image.shape[0], image.spatial_shape, box, out, padding_mode)


def copy_image_boxes(
    images: Mapping[str, Image],
    box: Box,
    outs: Mapping[str, Array],
    padding_mode: PaddingMode | None = None,
) -> None:
    """Copy a box of several images into `outs`: all are read before the first is copied.

    A map is read in microseconds while what that needs is in the cache, from which a copy drives
    it. Parameters and errors are those of `copy_image_box`, by the name of the image.
    """
    known: dict[str, Array] = {}
    for name, image in images.items():
        if image.is_packed or not box.fits(image.spatial_shape):
            copy_image_box(image, box, outs[name], padding_mode)
        elif type(source := image.source) is FourBitVolume:
            source.read_into(box, outs[name])
        else:
            known[name] = image.read(box)
    for name, voxels in known.items():
        _copy(voxels, outs[name])


def is_first_axis_fastest(image: Image) -> bool:
    """Tell whether boxes of an image come with the first axis fastest, as those of a NIfTI do.

    Volumes that would have to be decoded to tell, or lie in chunks, count as others.

    Examples
    --------
    >>> from voxloom.subjects import ScalarImage
    >>> voxels = np.zeros((1, 4, 5, 6))
    >>> is_first_axis_fastest(ScalarImage(tensor=voxels))
    False
    >>> is_first_axis_fastest(ScalarImage(tensor=np.asfortranarray(voxels)))
    True
    """
    if image.is_packed or (not image.is_loaded and image.source.chunk_shape is not None):
        return False
    w, h, d = (min(n, 2) for n in image.spatial_shape)
    return _fastest_axis(image.read(Box((0, 0, 0), (w, h, d)))[0]) == 0


def cut(subject: Subject, box: Box, padding_mode: PaddingMode | None = None) -> Subject:
    """Return the patch of a subject that lies in `box`.

    Parameters
    ----------
    subject : Subject
        All its images are cut, and keep their dtype; what else it holds is carried over, copied
        where it could be changed in place.
    box : Box
        Which voxels; it may overhang the volume if `padding_mode` is given.
    padding_mode : 'constant', 'edge', 'reflect', number, optional
        What lies outside the volume, for label maps too.

    Returns
    -------
    Subject
        Its images own their memory: the patch keeps no volume alive. Their affines say where
        the patch lies in the world. ``'index_ini'`` is its first voxel, int64 ``(3,)``;
        ``'location'`` its first voxel and the one after its last, int64 ``(6,)``; both count
        voxels of the volume and may be negative where the patch overhangs it.

    Raises
    ------
    GeometryError
        If the box overhangs and there is no padding mode.

    Examples
    --------
    >>> from voxloom.subjects import ScalarImage, Subject
    >>> subject = Subject(t1=ScalarImage(tensor=np.zeros((1, 8, 8, 8))), age=42)
    >>> patch = cut(subject, Box((1, 2, 3), (5, 6, 7)))
    >>> patch.spatial_shape, patch["location"].tolist(), patch["age"]
    ((4, 4, 4), [1, 2, 3, 5, 6, 7], 42)
    """
    import torch

    mode = parse_padding_mode(padding_mode)
    images = {
        name: _cut_image(image, box, mode)
        for name, image in subject.get_images_dict(intensity_only=False).items()
    }
    location = torch.tensor([*box.index_ini, *box.index_fin], dtype=torch.int64)
    position = {"index_ini": location[:3].clone(), "location": location}
    changed: dict[str, Any] = {**own_metadata(subject), **images, **position}
    return subject.replace(**changed)


def _cut_image(image: Image, box: Box, padding_mode: PaddingMode | None) -> Image:
    out = np.empty((image.shape[0], *box.size), dtype=image.dtype)
    copy_image_box(image, box, out, padding_mode)
    return image.with_data(out, image.space.crop(box).affine)


def _decoded(image: Image) -> _Read:
    # `Image.read` would decode the whole volume again for every box; `Image.array` keeps it.
    return lambda part: image.array[(slice(None), *part.slices)]


def _fill(
    read: _Read,
    channels: int,
    spatial_shape: Shape3,
    box: Box,
    out: Array,
    padding_mode: PaddingMode | None,
) -> None:
    if out.shape != (channels, *box.size):
        raise GeometryError(
            f"a box of size {box.size} of {channels} channels goes into an array of shape "
            f"{(channels, *box.size)}, got one of shape {out.shape}"
        )
    if box.fits(spatial_shape):
        _copy(read(box), out)
    elif padding_mode is None:
        raise GeometryError(
            f"the box from {box.index_ini} to {box.index_fin} does not lie inside the volume of "
            f"spatial shape {spatial_shape}; move it, or give a padding_mode, e.g. 'constant'"
        )
    elif padding_mode in ("edge", "reflect"):
        _copy_continued(read, spatial_shape, box, out, padding_mode)
    else:
        _copy_framed(read, spatial_shape, box, out, padding_mode)


def _copy_framed(
    read: _Read, spatial_shape: Shape3, box: Box, out: Array, padding_mode: PaddingMode
) -> None:
    out.fill(padding_value(padding_mode, out.dtype))
    part = part_inside(box, spatial_shape)
    if part is not None:
        i, j, k = (a - b for a, b in zip(part.index_ini, box.index_ini, strict=True))
        _copy(read(part), out[(slice(None), *Box.at((i, j, k), part.size).slices)])


def _copy_continued(
    read: _Read, spatial_shape: Shape3, box: Box, out: Array, padding_mode: PaddingMode
) -> None:
    shown = [
        padded_indices(a, b, n, padding_mode)
        for a, b, n in zip(box.index_ini, box.index_fin, spatial_shape, strict=True)
    ]
    ini = [int(places.min()) for places in shown]
    fin = [int(places.max()) + 1 for places in shown]
    needed = read(Box((ini[0], ini[1], ini[2]), (fin[0], fin[1], fin[2])))
    part = np.empty(needed.shape, dtype=out.dtype)
    _copy(needed, part)
    for axis, (places, first) in enumerate(zip(shown, ini, strict=True), start=1):
        part = part.take(places - first, axis=axis)
    _copy(part, out)


def _copy(volume: Array, out: Array) -> None:
    if _has_rows(volume) and _has_rows(out):  # as most do
        _copy_rows(out, volume)
        return
    for channel, target in zip(volume, out, strict=True):
        _copy_channel(channel, target)


def _copy_channel(volume: Array, out: Array) -> None:
    fast, last = _fastest_axis(volume), _fastest_axis(out)
    if fast == last:
        order = (*[axis for axis in (0, 1, 2) if axis != fast], fast)
        _copy_rows(out.transpose(order), volume.transpose(order))
        return
    order = (last, 3 - fast - last, fast)
    sources, targets = volume.transpose(order), out.transpose(order)
    planes, rows, columns = sources.shape
    most = _SCRATCH_BYTES // (planes * columns * out.dtype.itemsize)
    step = min(max(most, 1), rows)
    packed = _scratch(planes, step, columns, out.dtype)
    for first in range(0, rows, step):
        count = min(step, rows - first)
        # both run along one of their sides at least: lines are read and written whole
        _copy_rows(packed[:, :count], sources[:, first : first + count])
        np.copyto(targets[:, first : first + count], packed[:, :count])


def _copy_rows(target: Array, source: Array) -> None:
    """Copy voxels; where rows lie whole on both sides, each is one item for NumPy.

    It then does less for a row and waits for the memory of several at once: a box of 96 voxels a
    side takes three quarters of the time.
    """
    if _has_rows(target) and _has_rows(source) and target.dtype == source.dtype:
        row = np.dtype((np.void, target.itemsize * target.shape[-1]))
        target, source = target.view(row), source.view(row)
    np.copyto(target, source, casting="unsafe")


def _scratch(planes: int, rows: int, columns: int, dtype: np.dtype[Any]) -> Array:
    """Return an array in memory of the last call where it fits: touched and warm.

    Its planes lie an odd number of cache lines apart, so that voxels of all of them that are
    written side by side do not compete for the same few places in the cache.
    """
    row = columns * dtype.itemsize
    plane = (-(-rows * row // _LINE_BYTES) | 1) * _LINE_BYTES
    if not hasattr(_kept, "scratch") or len(_kept.scratch) < planes * plane:
        _kept.scratch = np.empty(planes * plane, np.uint8)
    return np.ndarray(
        (planes, rows, columns), dtype, _kept.scratch, strides=(plane, row, dtype.itemsize)
    )


def _has_rows(array: Array) -> bool:
    return array.strides[-1] == array.itemsize and array.shape[-1] > 1


def _fastest_axis(volume: Array) -> int:
    # The stride of an axis of one voxel says nothing about the order.
    long = [axis for axis in (2, 1, 0) if volume.shape[axis] > 1]
    return min(long, key=lambda axis: abs(volume.strides[axis]), default=2)
