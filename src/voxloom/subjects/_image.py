"""Images: one volume of a subject, with a type and a place in the world."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt

from voxloom._errors import FrozenError, ImageError, UnknownImageError, VolumeNotFoundError
from voxloom.geometry import Affine, Box, Shape3, Space, as_affine
from voxloom.io import Array, ArraySource, Shape4, VolumeSource
from voxloom.subjects._keys import AFFINE, DATA, INTENSITY, LABEL, PATH, SAMPLING_MAP, STEM, TYPE

if TYPE_CHECKING:
    import torch

    Voxels = torch.Tensor | Array

AnyPath = str | PathLike[str]
Reader = Callable[[Path], tuple[Any, Any]]

_TYPES = (INTENSITY, LABEL, SAMPLING_MAP)
_WIDER = {np.dtype(np.uint16): np.dtype(np.int32), np.dtype(np.uint32): np.dtype(np.int64)}


class Image(Mapping[str, Any]):
    """One volume of a subject: voxels ``(C, W, H, D)``, a type, an affine.

    An image is frozen: `with_data` makes a changed one. Opening reads the header only;
    voxels are decoded when `data` or `array` is first asked for.

    Parameters
    ----------
    path : path or sequence of paths, optional
        File to read, in any known format; several paths are the channels of one image.
    type : {'intensity', 'label', 'sampling_map'}, optional
        What the voxels mean. Intensity if None.
    tensor : (C, W, H, D) tensor or array, optional
        Voxels in memory, instead of `path`; the memory is shared, not copied.
    affine : (4, 4) array, optional
        Voxel indices to world, RAS+, mm. By default what the file says, or the identity.
    reader : callable, optional
        ``reader(path)`` returns the voxels and the affine, for formats of your own.
    verify_path : bool
        Whether a missing file is an error now, not when it is read.
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

    __slots__ = ("_affine", "_array", "_metadata", "_path", "_reader", "_source", "_type")
    _default_type: str | None = None

    _affine: Affine | None
    _array: Array | None
    _metadata: dict[str, Any]
    _path: Path | tuple[Path, ...] | None
    _reader: Reader | None
    _source: VolumeSource | None
    _type: str

    def __init__(
        self,
        path: AnyPath | Sequence[AnyPath] | None = None,
        type: str | None = None,  # noqa: A002 - the field's name
        tensor: Voxels | None = None,
        affine: npt.ArrayLike | None = None,
        reader: Reader | None = None,
        verify_path: bool = True,
        **metadata: Any,
    ) -> None:
        if (path is None) == (tensor is None):
            raise ImageError("an image needs a path or a tensor, and not both")
        clash = sorted({DATA, STEM} & metadata.keys())
        if clash:
            raise ImageError(f"{clash} cannot be set here; voxels are given as tensor=")
        files = _as_paths(path, verify=verify_path)
        array = None if tensor is None else _as_array(tensor)
        matrix = None if affine is None else _checked_affine(affine)
        self._set(
            _affine=matrix,
            _array=array,
            _metadata=dict(metadata),
            _path=files,
            _reader=reader,
            _source=None if array is None else ArraySource(array, matrix),
            _type=self._checked_type(type),
        )

    @classmethod
    def from_source(cls, source: VolumeSource, type: str | None = None, **metadata: Any) -> Self:  # noqa: A002
        """Return an image of voxels that `source` reads."""
        image = cls.__new__(cls)
        image._set(
            _affine=None,
            _array=source.array if isinstance(source, ArraySource) else None,
            _metadata=metadata,
            _path=None if source.path is None else Path(source.path),
            _reader=None,
            _source=source,
            _type=cls._checked_type(type),
        )
        return image

    @property
    def source(self) -> VolumeSource:
        """What reads the voxels. Opens the file, reading its header only."""
        if self._source is None:
            self._set(_source=self._open())
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
    def affine(self) -> Affine:
        """Voxel indices to world, 4x4 float64, RAS+, mm."""
        return self.space.affine.copy()

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Distance in mm between neighbouring voxels along each axis."""
        return self.space.spacing

    @property
    def orientation(self) -> tuple[str, str, str]:
        """Where each voxel axis points, e.g. ``('R', 'A', 'S')``."""
        return self.space.orientation

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the voxels. Unsigned 16 and 32 bits become int32 and int64, as torch needs."""
        return _WIDER.get(self.source.dtype, self.source.dtype)

    @property
    def type(self) -> str:
        """``'intensity'``, ``'label'`` or ``'sampling_map'``."""
        return self._type

    @property
    def path(self) -> Path | tuple[Path, ...] | None:
        """The file or files, or None."""
        return self._path

    @property
    def is_loaded(self) -> bool:
        """Whether the voxels are in memory."""
        return self._array is not None

    @property
    def array(self) -> Array:
        """The voxels, ``(C, W, H, D)``, decoded at the first call and then kept."""
        if self._array is None:
            voxels = self.read()
            self._set(_array=voxels if voxels.flags.writeable else voxels.copy(order="K"))
        assert self._array is not None
        return self._array

    @property
    def data(self) -> torch.Tensor:
        """The voxels as a tensor ``(C, W, H, D)`` over the same memory as `array`."""
        import torch

        return torch.from_numpy(self.array)

    @property
    def tensor(self) -> torch.Tensor:
        """The same as `data`."""
        return self.data

    def read(self, box: Box | None = None) -> Array:
        """Return the voxels in `box`, or all, ``(C, w, h, d)``, without keeping them.

        The result may be a read-only view, in any memory order.
        """
        if self._array is not None:
            whole = ArraySource(self._array)
            return whole.read(box)
        voxels = self.source.read(box)
        return voxels.astype(self.dtype, copy=False)

    def load(self) -> Self:
        """Decode the voxels now and keep them; return the image itself."""
        _ = self.array
        return self

    def with_data(self, data: Voxels, affine: npt.ArrayLike | None = None) -> Self:
        """Return a new image of the same kind with other voxels ``(C, W, H, D)``.

        The affine stays unless another is given.

        Examples
        --------
        >>> image = ScalarImage(tensor=np.ones((1, 2, 2, 2)))
        >>> float(image.with_data(image.data * 3).data.max())
        3.0
        """
        array = _as_array(data)
        matrix = self.space.affine if affine is None else _checked_affine(affine)
        changed = self.__class__.__new__(self.__class__)
        changed._set(
            _affine=matrix,
            _array=array,
            _metadata=self._metadata,
            _path=self._path,
            _reader=None,
            _source=ArraySource(array, matrix, self.source.path),
            _type=self._type,
        )
        return changed

    def __getitem__(self, key: str) -> Any:
        if key == PATH:
            return _as_text(self._path, str)
        if key == STEM:
            return _as_text(self._path, _stem)
        if key in (DATA, AFFINE, TYPE):
            return getattr(self, key)
        if key in self._metadata:
            return self._metadata[key]
        raise UnknownImageError(f"an image has {list(self)}, not {key!r}")

    def __iter__(self) -> Iterator[str]:
        return iter((DATA, AFFINE, TYPE, PATH, STEM, *self._metadata))

    def __len__(self) -> int:
        return 5 + len(self._metadata)

    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return id(self)

    def __setattr__(self, name: str, value: Any) -> None:
        raise FrozenError(
            f"an image is frozen: {name} cannot be assigned; make a new one with "
            f"image.with_data(...) and put it into its subject with subject.replace(...)"
        )

    def __getstate__(self) -> dict[str, Any]:
        state = {name: getattr(self, name) for name in Image.__slots__}
        if self._path is not None and not isinstance(self._source, ArraySource):
            state["_array"] = None  # whoever unpickles it reads the file
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._set(**state)

    def __repr__(self) -> str:
        where = "in memory" if self.is_loaded else f"path: {self['path']!r}"
        try:
            x, y, z = self.spacing
            facts = (
                f"shape: {self.shape}; spacing: ({x:.2f}, {y:.2f}, {z:.2f}); "
                f"orientation: {''.join(self.orientation)}+; dtype: {self.dtype}; "
            )
        except OSError as error:
            facts = f"unreadable: {error}; "
        return f"{type(self).__name__}({facts}{where})"

    def _open(self) -> VolumeSource:
        from voxloom.io import ChannelSource, open_volume

        assert self._path is not None
        if isinstance(self._path, tuple):
            return ChannelSource([open_volume(path, reader=self._reader) for path in self._path])
        return open_volume(self._path, reader=self._reader)

    def _set(self, **values: Any) -> None:
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


def _as_paths(
    path: AnyPath | Sequence[AnyPath] | None, *, verify: bool
) -> Path | tuple[Path, ...] | None:
    if path is None:
        return None
    if not isinstance(path, str | PathLike):
        if not isinstance(path, Sequence) or not path:
            raise ImageError(f"a path is text, a path object or a list of them, got {path!r}")
        return tuple(_as_path(one, verify=verify) for one in path)
    return _as_path(path, verify=verify)


def _as_path(path: AnyPath, *, verify: bool) -> Path:
    if not isinstance(path, str | PathLike):
        raise ImageError(f"a path is text or a path object, got {path!r}")
    file = Path(fspath(path)).expanduser()
    if verify and not file.exists():
        raise VolumeNotFoundError(f"there is no file {str(file)!r}")
    return file


def _as_array(voxels: Any) -> Array:
    if not isinstance(voxels, np.ndarray):
        if not hasattr(voxels, "detach"):
            raise ImageError(
                f"voxels are a tensor or an array (C, W, H, D), got {type(voxels).__name__}"
            )
        voxels = voxels.detach().cpu().numpy()
    if voxels.ndim != 4 or 0 in voxels.shape:
        raise ImageError(
            f"voxels have four axes (C, W, H, D), none empty; got shape {tuple(voxels.shape)}"
        )
    if voxels.dtype.kind not in "biuf":
        raise ImageError(f"voxels are integers, floats or bools, got dtype {voxels.dtype}")
    array = voxels.astype(voxels.dtype.newbyteorder("="), copy=False)
    wide = _WIDER.get(array.dtype)
    if wide is not None:
        array = array.astype(wide)
    if not array.flags.writeable or any(step < 0 for step in array.strides):
        array = array.copy(order="K")
    return array


def _checked_affine(affine: npt.ArrayLike) -> Affine:
    if np.ndim(affine) == 0:
        raise ImageError(f"an affine is a 4x4 matrix, got {affine!r}")
    return as_affine(affine)


def _as_text(path: Path | tuple[Path, ...] | None, show: Callable[[Path], str]) -> Any:
    if path is None:
        return ""
    return [show(one) for one in path] if isinstance(path, tuple) else show(path)


def _stem(path: Path) -> str:
    return path.name.split(".")[0]
