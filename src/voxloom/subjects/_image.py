"""Images: one volume of a subject, with a type and a place in the world."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from copy import deepcopy
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt

from voxloom._errors import (
    FrozenError,
    ImageError,
    UnknownImageError,
    UnloadError,
    VolumeReadError,
    VoxloomError,
)
from voxloom._upstairs import draw, show
from voxloom.geometry import Affine, Box, Point, Shape3, Space, as_affine, box_of_slices
from voxloom.io import Array, ArraySource, ReaderSource, Shape4, VolumeSource, write_volume
from voxloom.subjects._keys import AFFINE, DATA, INTENSITY, LABEL, PATH, SAMPLING_MAP, STEM, TYPE
from voxloom.subjects._paths import (
    AnyPath,
    Paths,
    Reader,
    as_paths,
    as_reader,
    open_paths,
    path_of,
    stem_of,
    text_of,
)
from voxloom.subjects._voxels import as_voxels, shareable, widened

if TYPE_CHECKING:
    import torch
    from matplotlib.figure import Figure

    from voxloom.subjects._voxels import Voxels

_TYPES = (INTENSITY, LABEL, SAMPLING_MAP)
_KEYS = (DATA, AFFINE, TYPE, PATH, STEM)
_FIELDS = (
    "_affine",
    "_array",
    "_check_nans",
    "_metadata",
    "_path",
    "_reader",
    "_rereads",
    "_source",
    "_type",
)


class Image(Mapping[str, Any]):
    """One volume of a subject: voxels ``(C, W, H, D)``, a type, an affine.

    An image is frozen: `with_data` makes a changed one. Opening reads the header only;
    voxels are decoded when `data` or `array` is first asked for.

    Parameters
    ----------
    path : path or sequence of paths, optional
        File to read, in any known format, or the URL of a Zarr image, such as
        ``"s3://bucket/t1.zarr"``; several are the channels of one image.
    type : {'intensity', 'label', 'sampling_map'}, optional
        What the voxels mean. Intensity if None.
    tensor : (C, W, H, D) tensor or array, optional
        Voxels in memory, instead of `path`; the memory is shared, not copied.
    affine : (4, 4) array, optional
        Voxel indices to world, RAS+, mm. By default what the file says, or the identity.
    check_nans : bool
        Whether to warn, with a RuntimeWarning, when voxels that are not a number are given or
        read.
    reader : callable, optional
        ``reader(path)`` returns the voxels and the affine, for formats of your own.
    verify_path : bool
        Whether a missing file is an error now, not when it is read. No server is asked before.
    **metadata
        Anything else to keep with the image.

    Raises
    ------
    ImageError
        A ValueError and TypeError, if the arguments do not describe an image.
    VolumeNotFoundError
        A FileNotFoundError, if there is no such file.

    Examples
    --------
    >>> image = ScalarImage(tensor=np.zeros((1, 4, 5, 6), dtype=np.float32))
    >>> image.shape, image.spatial_shape, image.spacing
    ((1, 4, 5, 6), (4, 5, 6), (1.0, 1.0, 1.0))
    """

    __slots__ = (*_FIELDS, "__weakref__", "_map", "_tensor")
    _default_type: str | None = None

    _affine: Affine | None
    _array: Array | None
    _check_nans: bool
    _map: Array | None  # where boxes are taken from for now
    _metadata: dict[str, Any]
    _path: Paths | None
    _reader: Reader | None
    _rereads: bool  # whether opening the path gives the voxels as they were read
    _source: VolumeSource | None
    _tensor: torch.Tensor | None
    _type: str

    def __init__(
        self,
        path: AnyPath | Sequence[AnyPath] | None = None,
        type: str | None = None,
        tensor: Voxels | None = None,
        affine: npt.ArrayLike | None = None,
        check_nans: bool = False,
        reader: Reader | None = None,
        verify_path: bool = True,
        **metadata: Any,
    ) -> None:
        if (path is None) == (tensor is None):
            raise ImageError("an image needs a path or a tensor, and not both")
        clash = sorted({DATA, STEM} & metadata.keys())
        if clash:
            raise ImageError(f"{clash} cannot be set here; voxels are given as tensor=")
        self._set(
            _affine=_as_matrix(affine),
            _array=None,
            _check_nans=bool(check_nans),
            _metadata=dict(metadata),
            _path=None if path is None else as_paths(path, verify=verify_path),
            _reader=as_reader(reader),
            _rereads=tensor is None,
            _source=None,
            _type=self._checked_type(type),
        )
        if tensor is not None:
            self._set_voxels(tensor)
            self._checked(self.source.read())

    @classmethod
    def from_source(cls, source: VolumeSource, type: str | None = None, **metadata: Any) -> Self:
        """Return an image of voxels that `source` reads."""
        image = cls.__new__(cls)
        image._set(
            _affine=None,
            _array=shareable(source.array) if isinstance(source, ArraySource) else None,
            _check_nans=False,
            _metadata=metadata,
            _path=None if source.path is None else path_of(source.path),
            _reader=None,
            _rereads=False,
            _source=source,
            _type=cls._checked_type(type),
        )
        return image

    @property
    def source(self) -> VolumeSource:
        """What reads the voxels. Opens the file, reading its header only."""
        if self._source is None:
            assert self._path is not None
            self._set(_source=open_paths(self._path, self._reader))
        assert self._source is not None
        return self._source

    @property
    def space(self) -> Space:
        """The grid of the image and where it lies."""
        if self._affine is None:
            return self.source.space
        return Space(self.source.spatial_shape, self._affine)

    @property
    def shape(self) -> Shape4:
        """``(C, W, H, D)``."""
        return self.source.shape

    @property
    def spatial_shape(self) -> Shape3:
        """``(W, H, D)``."""
        return self.source.spatial_shape

    @property
    def num_channels(self) -> int:
        """C, the number of values of each voxel."""
        return self.shape[0]

    @property
    def width(self) -> int:
        """W, the voxels along the first spatial axis."""
        return self.spatial_shape[0]

    @property
    def height(self) -> int:
        """H, the voxels along the second spatial axis."""
        return self.spatial_shape[1]

    @property
    def depth(self) -> int:
        """D, the voxels along the third spatial axis."""
        return self.spatial_shape[2]

    def is_2d(self) -> bool:
        """Tell whether the image is a single slice, ``(W, H, 1)``."""
        return self.spatial_shape[-1] == 1

    @property
    def affine(self) -> Affine:
        """Voxel indices to world, 4x4 float64, RAS+, mm."""
        # A matrix of its own was checked when it was given: a space would check it for every batch.
        return (self.space.affine if self._affine is None else self._affine).copy()

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Distance in mm between neighbouring voxels along each axis."""
        return self.space.spacing

    @property
    def orientation(self) -> tuple[str, str, str]:
        """Where each voxel axis points, e.g. ``('R', 'A', 'S')``."""
        return self.space.orientation

    @property
    def orientation_str(self) -> str:
        """The same as `orientation`, in one word, e.g. ``'RAS'``."""
        return "".join(self.orientation)

    @property
    def origin(self) -> Point:
        """Centre of the first voxel, in mm."""
        x, y, z = self.space.affine[:3, 3].tolist()
        return x, y, z

    @property
    def direction(self) -> tuple[float, ...]:
        """Where the axes point, nine cosines row by row: the affine without spacing, in RAS+."""
        return tuple((self.space.affine[:3, :3] / self.spacing).ravel().tolist())

    def get_center(self, lps: bool = False) -> Point:
        """Return the middle of the image in mm, RAS+, or LPS+ as ITK counts."""
        x, y, z = self.space.center
        return (-x, -y, z) if lps else (x, y, z)

    def get_bounds(self) -> tuple[tuple[float, float], ...]:
        """Return the least and largest x, y and z that the image reaches, in mm."""
        return self.space.bounds

    def axis_name_to_index(self, axis: str) -> int:
        """Return the array axis, -3 to -1, that runs ``'left'``, ``'superior'`` and so on.

        Names and errors are those of `voxloom.geometry.Space.axis_index`.
        """
        return self.space.axis_index(axis)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the voxels. Unsigned 16 and 32 bits become int32 and int64, as torch needs."""
        dtype: np.dtype[Any] = self.source.dtype
        return widened(dtype)

    @property
    def type(self) -> str:
        """``'intensity'``, ``'label'`` or ``'sampling_map'``."""
        return self._type

    @property
    def path(self) -> Paths | None:
        """The file or files, or None."""
        return self._path

    @property
    def memory(self) -> int:
        """Bytes that the voxels take when they are loaded."""
        return math.prod(self.shape) * self.dtype.itemsize

    @property
    def check_nans(self) -> bool:
        """Whether voxels that are not a number are warned of when they are read."""
        return self._check_nans

    @property
    def is_loaded(self) -> bool:
        """Whether the voxels are in memory."""
        return self._array is not None

    @property
    def is_packed(self) -> bool:
        """Whether the whole image must be decoded for any part of it: it lies so in its file."""
        return not self.is_loaded and not self.source.reads_regions

    @property
    def _loaded(self) -> bool:  # the name that scripts of the field ask for
        return self.is_loaded

    @property
    def array(self) -> Array:
        """The voxels, ``(C, W, H, D)``, decoded at the first call and then kept."""
        if self._array is None:
            self._set(_array=self.read_own())
        assert self._array is not None
        return self._array

    @property
    def data(self) -> torch.Tensor:
        """The voxels as a tensor ``(C, W, H, D)`` over the same memory as `array`."""
        import torch

        tensor = self._tensor
        if tensor is None:
            tensor = torch.from_numpy(self.array)
            self._set(_tensor=tensor)
        return tensor

    @property
    def tensor(self) -> torch.Tensor:
        """The same as `data`."""
        return self.data

    def read(self, box: Box | None = None) -> Array:
        """Return the voxels in `box`, or all, ``(C, w, h, d)``, without keeping them.

        The result may be a read-only view, in any memory order.
        """
        voxels = self._map if self._array is None else self._array
        if voxels is None:
            return self._checked(self.source.read(box).astype(self.dtype, copy=False))
        if box is None:
            return voxels
        self.source.check_box(box)
        if self._array is None:
            self.source.prefetch(box)
        return voxels[(slice(None), *box.slices)]

    def hold_map(self) -> None:
        """Let `read` use one map, if there is one, and not look at the file for each box."""
        if self._array is None and not self._check_nans and self.source.dtype == self.dtype:
            with suppress(VolumeReadError):  # reading a box says so
                object.__setattr__(self, "_map", self.source.mapped())

    def let_go_of_map(self) -> None:
        """Look at the file again for each box."""
        object.__setattr__(self, "_map", None)

    def read_own(self) -> Array:
        """Return all voxels in memory that nothing else holds, without keeping them."""
        voxels = self.read()
        lent = self.is_loaded or isinstance(self.source, ArraySource | ReaderSource)
        return voxels.copy(order="K") if lent or not voxels.flags.writeable else voxels

    def load(self) -> Self:
        """Decode the voxels now and keep them; return the image itself."""
        _ = self.array
        return self

    def unload(self) -> None:
        """Forget the voxels that were decoded; they are read again when they are asked for.

        Raises
        ------
        UnloadError
            A RuntimeError, if they are not loaded, or are in memory only.
        """
        is_kept = isinstance(self._source, ArraySource)
        if self._path is None or (is_kept and not self._rereads):
            raise UnloadError("an image in memory has no file to read again, and is not unloaded")
        if self._array is None:
            raise UnloadError(f"{self[PATH]} is not loaded, so that it cannot be unloaded")
        self._set(_array=None, _source=None if is_kept else self._source)

    def loaded_copy(self, voxels: Array | None = None) -> Self:
        """Return the same image in memory of its own, with all that is done to it there.

        It is sent to other processes with its voxels. `unload` reads the file again. `voxels` are
        those of the image, if somebody has decoded them.
        """
        copied = self.with_data(self.read_own() if voxels is None else voxels)
        copied._set(_reader=self._reader, _rereads=self._rereads)
        return copied

    def with_data(self, data: Voxels, affine: npt.ArrayLike | None = None) -> Self:
        """Return a new image of the same kind with other voxels ``(C, W, H, D)``.

        The affine stays unless another is given.

        Examples
        --------
        >>> image = ScalarImage(tensor=np.ones((1, 2, 2, 2)))
        >>> float(image.with_data(image.data * 3).data.max())
        3.0
        """
        matrix = _as_matrix(affine)
        changed = self._twin(_affine=self.space.affine if matrix is None else matrix, _reader=None)
        changed._set(_rereads=False, _metadata=deepcopy(self._metadata))
        changed._set_voxels(data)
        return changed

    def with_source(self, source: VolumeSource) -> Self:
        """Return the same image, its voxels read from another source that holds the same."""
        return self._twin(_source=source, _array=None)

    def crop(self, box: Box) -> Self:
        """Return the image of the voxels in `box`, in memory of its own, at its place.

        ``image[:, 2:-3]`` does the same: slices along W, H and D, as many as are wanted.

        Raises
        ------
        GeometryError
            If the box does not lie inside the image.

        Examples
        --------
        >>> image = ScalarImage(tensor=np.ones((1, 10, 10, 10), dtype=np.float32))
        >>> cropped = image[:, 2:-3]
        >>> cropped.spatial_shape, cropped.affine[:3, 3].tolist()
        ((10, 5, 10), [0.0, 2.0, 0.0])
        """
        return self.with_data(self.read(box).copy(order="K"), self.space.crop(box).affine)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        array = self.array if dtype is None else self.array.astype(dtype, copy=False)
        return array.copy() if copy else array

    def numpy(self) -> Array:
        """Return the voxels as an array over the same memory as `data`."""
        return self.array

    def save(self, path: AnyPath) -> None:
        """Write the voxels and the affine, as NIfTI or else. See `voxloom.io.write_volume`."""
        write_volume(path, self.read(), self.affine)

    def plot(self, channel: int | None = None, **options: Any) -> Figure:
        """Return a picture in three planes, and write it to ``output_path``, if that is given.

        Other options and errors are those of `voxloom.view.plot_image`; ``return_fig=False``
        returns None.
        """
        figure: Figure = draw("plot_image", self, channel, **options)
        return figure

    def _repr_html_(self) -> str:
        return str(show("describe_image", self))

    def __getitem__(self, key: Any) -> Any:
        if not isinstance(key, str):
            return self.crop(box_of_slices(key, self.spatial_shape))
        if key == PATH:
            return text_of(self._path)
        if key == STEM:
            return text_of(self._path, stem_of)
        if key in (DATA, AFFINE, TYPE):
            return getattr(self, key)
        if key in self._metadata:
            return self._metadata[key]
        raise UnknownImageError(f"an image has {list(self)}, not {key!r}")

    def __iter__(self) -> Iterator[str]:
        return iter((*_KEYS, *self._metadata))

    def __contains__(self, key: object) -> bool:
        return key in _KEYS or key in self._metadata

    def __len__(self) -> int:
        return len(_KEYS) + len(self._metadata)

    def __copy__(self) -> Self:
        return self._twin()

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        copied = self._twin(_metadata=deepcopy(self._metadata, memo))
        if self._array is not None:  # it may have been changed since it was read
            # what reads the copy knows no file
            copied._set(_affine=self.space.affine, _rereads=False)
            copied._set_voxels(self._array.copy(order="K"))
        return copied

    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return id(self)

    def __setattr__(self, name: str, value: Any) -> None:
        raise FrozenError(
            f"an image is frozen: {name} cannot be assigned; make a new one with "
            f"image.with_data(...) and put it into its subject with subject.replace(...)"
        )

    def set_data(self, data: Voxels) -> None:
        """Raise: an image is frozen, and the message says what to do instead."""
        self.__setattr__(DATA, data)

    def __setitem__(self, key: str, value: Any) -> None:
        self.__setattr__(repr(key), value)

    def __delattr__(self, name: str) -> None:
        raise FrozenError(f"an image is frozen: {name} cannot be deleted")

    def __delitem__(self, key: str) -> None:
        self.__delattr__(repr(key))

    def __getstate__(self) -> dict[str, Any]:
        # With the voxels, if they are loaded: they may have been changed since they were read.
        return {name: getattr(self, name) for name in _FIELDS}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._set(**state)

    def __repr__(self) -> str:
        where = "in memory" if self.is_loaded else f"path: {self['path']!r}"
        try:
            x, y, z = self.spacing
            facts = (
                f"shape: {self.shape}; spacing: ({x:.2f}, {y:.2f}, {z:.2f}); "
                f"orientation: {self.orientation_str}+; dtype: {self.dtype}; "
            )
        except (OSError, VoxloomError) as error:
            facts = f"unreadable: {error}; "
        return f"{type(self).__name__}({facts}{where})"

    def _set_voxels(self, voxels: Voxels) -> None:
        array = as_voxels(voxels)
        name = text_of(self._path)
        path = None if self._path is None else name if isinstance(name, str) else name[0]
        self._set(_array=shareable(array), _source=ArraySource(array, self._affine, path))

    def _checked(self, voxels: Array) -> Array:
        if self._check_nans and voxels.dtype.kind == "f" and (bad := int(np.isnan(voxels).sum())):
            where = f"{self[PATH]}: " if self._path else ""
            warnings.warn(f"{where}{bad} voxels are not a number", RuntimeWarning, stacklevel=3)
        return voxels

    def _twin(self, **changes: Any) -> Self:
        state = {name: getattr(self, name) for name in _FIELDS}
        twin = self.__class__.__new__(self.__class__)
        twin._set(**{**state, **changes})
        return twin

    def _set(self, **values: Any) -> None:
        if "_array" in values:  # other voxels, or none
            values = {"_map": None, "_tensor": None, **values}
        for name, value in values.items():
            object.__setattr__(self, name, value)

    @classmethod
    def _checked_type(cls, given: str | None) -> str:
        if given not in (None, *_TYPES):
            raise ImageError(f"the type of an image is one of {_TYPES}, got {given!r}")
        if cls._default_type is not None and given not in (None, cls._default_type):
            raise ImageError(
                f"{cls.__name__} has type {cls._default_type!r}, got type={given!r}; "
                f"use Image(..., type={given!r})"
            )
        return given or cls._default_type or INTENSITY


class ScalarImage(Image):
    """An image whose voxels are intensities. See `Image`."""

    __slots__ = ()
    _default_type = INTENSITY


class LabelMap(Image):
    """An image whose voxels are labels, or whose channels are classes. See `Image`."""

    __slots__ = ()
    _default_type = LABEL

    def count_nonzero(self) -> int:
        """Return how many voxels, of all channels, are not 0."""
        return int(np.count_nonzero(self.read()))

    def count_labels(self) -> dict[int, int]:
        """Return how many voxels have each label, in order of the labels.

        Examples
        --------
        >>> LabelMap(tensor=np.array([[[[0, 2, 2]]]])).count_labels()
        {0: 1, 2: 2}
        """
        labels, counts = np.unique(self.read(), return_counts=True)
        return dict(zip(labels.tolist(), counts.tolist(), strict=True))


def _as_matrix(affine: npt.ArrayLike | None) -> Affine | None:
    if affine is not None and np.ndim(affine) == 0:
        raise ImageError(f"an affine is a 4x4 matrix, got {affine!r}")
    return None if affine is None else as_affine(affine)
