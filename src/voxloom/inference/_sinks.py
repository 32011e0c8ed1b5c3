"""Where the planes of an output go as they are finished: memory, an array, Zarr or NIfTI."""

from __future__ import annotations

import os
import secrets
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, final

import numpy as np

from voxloom._errors import InferenceError
from voxloom.geometry import Affine, Shape3
from voxloom.io import Array, Shape4, open_volume
from voxloom.io._nifti_slabs import NiftiSlabWriter
from voxloom.io._zarr_python import create_array
from voxloom.subjects import ScalarImage

if TYPE_CHECKING:
    import torch

_CHUNK = 64
_NIFTI = (".nii", ".nii.gz")


class Sink(Protocol):
    """Takes slabs ``(C, w, h, d)`` that follow each other along one axis, each once."""

    axis: int
    thickness: int

    def memory(self, channels: int) -> torch.Tensor | None:
        """Return zeros ``(C, W, H, D)``, float32, that are the output; None if it is elsewhere.

        Whoever fills them writes nothing.
        """

    def write(self, first: int, slab: torch.Tensor) -> None:
        """Take the planes from `first` on; all slabs but the last are whole multiples."""

    def finish(self) -> ScalarImage:
        """Return the whole as an image."""

    def abandon(self) -> None:
        """Remove what is not finished."""


def sweep_axis(outs: list[Any]) -> int:
    """Return the axis along which outputs are written: the slowest one of their files.

    Examples
    --------
    >>> sweep_axis(["a.nii"]), sweep_axis(["a.zarr", None])
    (2, 0)
    """
    return 2 if any(_suffix(out) == ".nii" for out in outs) else 0


def check_outs(outs: list[Any]) -> None:
    """Raise InferenceError unless outputs can be written there, before hours of work."""
    paths = [Path(out) for out in outs if isinstance(out, str | os.PathLike)]
    twice = [path for n, path in enumerate(paths) if path in paths[:n]]
    if twice:
        raise InferenceError(f"two outputs would be written to '{twice[0]}'; name one for each")
    for out in outs:
        _check_out(out)


def _check_out(out: Any) -> None:
    if out is None:
        return
    if isinstance(out, str | os.PathLike):
        _check_path(Path(out), _suffix(out))
        return
    if not all(hasattr(out, name) for name in ("shape", "dtype", "__setitem__")):
        raise InferenceError(
            f"out is a path, an array (C, W, H, D), or None, got {type(out).__name__}"
        )


def _check_path(path: Path, suffix: str) -> None:
    if suffix not in (".zarr", *_NIFTI):
        raise InferenceError(f"what is written to a file is .zarr, .nii or .nii.gz; got '{path}'")
    if not path.parent.is_dir():
        raise InferenceError(f"there is no folder '{path.parent}' to write {path.name} to; make it")
    if path.exists() and path.is_dir() != (suffix == ".zarr"):
        kind = "folder" if path.is_dir() else "file"
        raise InferenceError(f"out='{path}' would replace a {kind}; choose another name")


def open_sink(out: Any, axis: int, spatial_shape: Shape3, affine: Affine) -> Sink:
    """Return what writes to `out`, which is None, a path or an array ``(C, W, H, D)``."""
    if out is None or not isinstance(out, str | os.PathLike):
        return ArraySink(out, axis, spatial_shape, affine)
    if _suffix(out) == ".zarr":
        return ZarrSink(Path(out), axis, spatial_shape, affine)
    if _suffix(out) == ".nii":
        return NiftiSink(Path(out), axis, spatial_shape, affine)
    return ArraySink(None, axis, spatial_shape, affine, save_as=out)


@final
class ArraySink:
    """Writes to an array, its own or one that was given; saves it if there is a name."""

    thickness = 1

    def __init__(
        self, array: Any, axis: int, spatial_shape: Shape3, affine: Affine, save_as: Any = None
    ) -> None:
        if array is not None and tuple(array.shape[1:]) != spatial_shape:
            expected = ", ".join(map(str, spatial_shape))
            raise InferenceError(f"out has shape (C, {expected}), got {tuple(array.shape)}")
        self.axis = axis
        self._array, self._given = array, array is not None
        self._spatial_shape, self._affine, self._save_as = spatial_shape, affine, save_as

    def memory(self, channels: int) -> torch.Tensor | None:
        """Return the array if it is our own: an error leaves the caller's as it was written."""
        import torch

        if self._given:
            return None
        # torch's memory: NumPy asks for huge pages, for which the system may first move others
        # written here: a page that is read first, as sums are, is brought in twice
        sums = torch.empty((channels, *self._spatial_shape), dtype=torch.float32).zero_()
        self._array = sums.numpy()
        return sums

    def write(self, first: int, slab: torch.Tensor) -> None:
        """Copy the slab to its place."""
        if self._array is None:
            dtype = as_array(slab[:0]).dtype
            self._array = np.empty((len(slab), *self._spatial_shape), dtype=dtype)
        if self._array.shape[0] != len(slab):
            raise InferenceError(
                f"out has {self._array.shape[0]} channels, the network returns {len(slab)}"
            )
        place: list[slice] = [slice(None)] * 4
        place[1 + self.axis] = slice(first, first + slab.shape[1 + self.axis])
        if self._given:
            is_tensor = hasattr(self._array, "detach")
            if not _holds_fractions(self._array.dtype):  # a mean of ones may be 0.9999999
                slab = slab.round() if slab.is_floating_point() else slab
                _check_range(as_array(slab), self._array.dtype)
            self._array[tuple(place)] = slab if is_tensor else as_array(slab)
        else:
            _bring(slab, self._array[tuple(place)])

    def finish(self) -> ScalarImage:
        """Return an image over the array, or of the saved file."""
        array = self._array
        if self._given and not isinstance(array, np.ndarray) and not hasattr(array, "detach"):
            array = np.asarray(array)
        image = ScalarImage(tensor=array, affine=self._affine)
        if self._save_as is None:
            return image
        image.save(self._save_as)
        return ScalarImage(self._save_as)

    def abandon(self) -> None:
        """Do nothing: what was given is the caller's."""


@final
class ZarrSink:
    """Writes a Zarr array ``(C, W, H, D)`` with the attribute ``affine``, each chunk once.

    It takes its name when it is whole: what had the name may be what is read meanwhile.
    """

    thickness = _CHUNK

    def __init__(self, path: Path, axis: int, spatial_shape: Shape3, affine: Affine) -> None:
        self.axis = axis
        self._path, self._spatial_shape, self._affine = path, spatial_shape, affine
        self._unfinished = path.with_name(f".{path.name}.{secrets.token_hex(4)}.unfinished")
        self._array: Any = None

    def memory(self, channels: int) -> None:
        """Return None: the output is a file."""

    def write(self, first: int, slab: torch.Tensor) -> None:
        """Write the chunks of the slab."""
        voxels = as_array(slab)
        if self._array is None:
            w, h, d = self._spatial_shape
            shape: Shape4 = (len(voxels), w, h, d)
            self._array = create_array(
                os.fspath(self._unfinished),
                shape,
                (1, *(min(n, _CHUNK) for n in shape[1:])),
                voxels.dtype,
                {"affine": self._affine.tolist()},
            )
        place: list[slice] = [slice(None)] * 4
        place[1 + self.axis] = slice(first, first + voxels.shape[1 + self.axis])
        self._array[tuple(place)] = voxels

    def finish(self) -> ScalarImage:
        """Return an image that reads from the store."""
        if self._path.exists():
            shutil.rmtree(self._path)
        self._unfinished.replace(self._path)
        return ScalarImage.from_source(open_volume(self._path))

    def abandon(self) -> None:
        """Remove the unfinished store."""
        shutil.rmtree(self._unfinished, ignore_errors=True)


@final
class NiftiSink:
    """Writes an uncompressed NIfTI file, which appears when it is whole."""

    thickness = 1

    def __init__(self, path: Path, axis: int, spatial_shape: Shape3, affine: Affine) -> None:
        self.axis = axis
        self._path, self._spatial_shape, self._affine = path, spatial_shape, affine
        self._writer: NiftiSlabWriter | None = None

    def memory(self, channels: int) -> None:
        """Return None: the output is a file."""

    def write(self, first: int, slab: torch.Tensor) -> None:
        """Write the slices of the slab."""
        voxels = as_array(slab)
        voxels = voxels.view(np.uint8) if voxels.dtype == np.bool_ else voxels
        if self._writer is None:
            w, h, d = self._spatial_shape
            shape: Shape4 = (len(voxels), w, h, d)
            self._writer = NiftiSlabWriter(self._path, shape, voxels.dtype, self._affine)
        self._writer.write(first, voxels)

    def finish(self) -> ScalarImage:
        """Return an image that reads from the file."""
        assert self._writer is not None
        return ScalarImage(self._writer.finish())

    def abandon(self) -> None:
        """Remove the unfinished file."""
        if self._writer is not None:
            self._writer.abandon()


def _bring(slab: torch.Tensor, out: Array) -> None:
    """Copy a slab from its device into `out`, without a copy of it in between."""
    import torch

    for channel, target in zip(slab, out, strict=True):
        torch.from_numpy(target).copy_(channel)


def _holds_fractions(dtype: Any) -> bool:
    """Tell whether an array, of NumPy or torch, has room for what lies between whole numbers."""
    if hasattr(dtype, "is_floating_point"):
        return bool(dtype.is_floating_point or dtype.is_complex)
    return np.dtype(dtype).kind in "fc"


def _check_range(voxels: Array, dtype: Any) -> None:
    """Refuse what would become other numbers in an array of integers."""
    name = str(dtype).removeprefix("torch.")
    if name == "bool" or not voxels.size:
        return
    limits, least, most = np.iinfo(name), voxels.min(), voxels.max()
    if not (limits.min <= least and most <= limits.max):  # nor is what is no number
        raise InferenceError(
            f"out has dtype {name}, which holds {limits.min} to {limits.max}; the network returns "
            f"{least:g} to {most:g}; give another out"
        )


def as_array(slab: torch.Tensor) -> Array:
    """Return the voxels of a slab in the memory of the CPU."""
    array: Array = slab.cpu().numpy()
    return array


def _suffix(out: Any) -> str:
    if not isinstance(out, str | os.PathLike):
        return ""
    name = Path(out).name.lower()
    return next((s for s in (".nii.gz", ".nii", ".zarr") if name.endswith(s)), "")
