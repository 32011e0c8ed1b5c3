"""Zarr and OME-Zarr volumes, in folders and on remote stores."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, final

import numpy as np

from voxloom._errors import VolumeNotFoundError, VolumeReadError
from voxloom.geometry import Affine, Box
from voxloom.io import _object_store, _tensorstore, _zarr_python
from voxloom.io._failures import damaged, reading
from voxloom.io._library import decoding, space_in
from voxloom.io._ome import OmeLevel, multiscales_of, ome_level
from voxloom.io._source import Array, Shape4, VolumeSource
from voxloom.io._zarr_chunks import read_chunks
from voxloom.io._zarr_metadata import ZarrArray, parse_array

_SPATIAL: Final = ("x", "y", "z")
_UNNAMED: Final = {2: ("x", "y"), 3: ("x", "y", "z"), 4: ("c", "x", "y", "z")}
_SAMPLED: Final = 16
_MOST_JSON_BYTES: Final = 1 << 24


@final
class ZarrSource(VolumeSource):
    """An OME-Zarr image (0.4, 0.5), or a plain Zarr array of version 2 or 3.

    Axes that have names are put in order: x, y, z are W, H, D, all others are channels. An
    array without names is ``(W, H)``, ``(W, H, D)`` or ``(C, W, H, D)``. OME-Zarr gives the
    affine by scales, translations, units and, where they are there, anatomical orientations;
    an attribute ``affine`` of a plain array, 4x4, RAS+, mm, is used as it is.

    Parameters
    ----------
    path : str or path-like
        A folder, or a URL beginning with ``s3://``, ``gs://``, ``https://``, ``http://`` or
        ``file://``, for which tensorstore or obstore find the credentials.
    level : int
        Which resolution of a multiscale image, 0 the finest.

    Raises
    ------
    VolumeNotFoundError
        If there is nothing there.
    VolumeReadError
        If it is damaged, or neither an image nor an array.
    UnknownFormatError
        If the elements are not plain numbers.
    MissingExtraError
        If neither tensorstore nor zarr is installed, and they are needed.

    Examples
    --------
    >>> import tempfile, zarr
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     stored = zarr.create_array(f"{folder}/t1.zarr", shape=(4, 5, 6), dtype="int16")
    ...     ZarrSource(f"{folder}/t1.zarr").shape
    (1, 4, 5, 6)
    """

    reads_regions = True

    def __init__(self, path: str | os.PathLike[str], level: int = 0) -> None:
        self.path: str = os.fspath(path)
        root = self.path.removeprefix("file://").rstrip("/")
        array, image = _find_array(root, level)
        if not _is_remote(root) and array.codec is not None and not _can_decode(array.codec):
            array = replace(array, codec=None)
        self.array = array
        self.axes = _axes(array, image)
        self.shape = _shape(self.axes, array.shape)
        self.dtype = array.dtype.newbyteorder("=")
        self.space = space_in(self.path, self.shape[1:], _affine(array, image, level))
        chunks = dict(zip(self.axes, array.chunks, strict=True))
        self.chunk_shape = (chunks.get("x", 1), chunks.get("y", 1), chunks.get("z", 1))

    def read(self, box: Box | None = None) -> Array:
        """Return the voxels in `box`, or all, in the order of the array's axes."""
        if box is not None:
            self.check_box(box)
        box = box or Box((0, 0, 0), self.spatial_shape)
        bounds = dict(zip(_SPATIAL, box.slices, strict=True))
        places = tuple(
            bounds.get(axis, slice(0, n))
            for axis, n in zip(self.axes, self.array.shape, strict=True)
        )
        stored = self._read(places)
        if _holds_only(stored, self.array.fill):  # as if no chunk were there
            _check_is_there(self.array)
        others = [n for n, axis in enumerate(self.axes) if axis not in _SPATIAL]
        spatial = [self.axes.index(axis) for axis in _SPATIAL if axis in self.axes]
        voxels = stored.transpose(*others, *spatial).reshape(self.shape[0], *box.size)
        return voxels.astype(self.dtype, copy=False)

    def _read(self, places: tuple[slice, ...]) -> Array:
        array = self.array
        if array.codec is not None and not _is_remote(array.path):
            with reading(array.path):
                return read_chunks(array, places)
        if _tensorstore.is_usable() and _tensorstore.decodes(array.version, array.steps):
            with decoding(array.path, "tensorstore"):
                return _tensorstore.read_array(array.path, array.version, array.stamp, places)
        with decoding(array.path, "zarr"):
            return _zarr_python.read_array(array.path, array.stamp, places)


def is_zarr(folder: str) -> bool:
    """Whether a local folder holds a Zarr array or group.

    Examples
    --------
    >>> is_zarr(".")
    False
    """
    return any(Path(folder, name).is_file() for name in ("zarr.json", ".zarray", ".zgroup"))


def _find_array(root: str, level: int) -> tuple[ZarrArray, OmeLevel | None]:
    node, attributes = _node(root)
    if _is_array(node):
        return parse_array(root, node, attributes), None
    images = multiscales_of(attributes)
    if not images:
        raise VolumeReadError(
            f"{root}: expected a Zarr array or an OME-Zarr image, it is a group without "
            "'multiscales'; give the path of an array in it"
        )
    with decoding(root, "the OME-Zarr reader"):
        image = ome_level(root, images[0], level)
    if ".." in image.component.split("/"):
        raise damaged(root, f"the image lies outside of its group, at {image.component!r}")
    inner = f"{root}/{image.component}".rstrip("/")
    node, own = _node(inner)
    if not _is_array(node):
        raise damaged(root, f"says that {image.component!r} is an array, it is not")
    array = parse_array(inner, node, own)
    kept = {key: attributes[key] for key in ("voxloom",) if key in attributes}
    return replace(array, attributes={**array.attributes, **kept}), image


def _node(url: str) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """Return the metadata and the attributes of an array or a group."""
    node = _read_json(url, "zarr.json")
    if node is not None:
        return node, _mapping(url, node.get("attributes", {}))
    array = _read_json(url, ".zarray")
    node = _read_json(url, ".zgroup") if array is None else array
    attributes = _read_json(url, ".zattrs") or {}
    if node is None and not attributes:
        raise _nothing_there(url)
    return node or {}, attributes


def _holds_only(voxels: Array, fill: Any) -> bool:
    some = voxels[tuple([slice(None, None, _SAMPLED)] * voxels.ndim)]  # most boxes fail here
    is_fill = np.isnan if fill != fill else partial(np.equal, fill)
    return bool(is_fill(some).all() and is_fill(voxels).all())


def _check_is_there(array: ZarrArray) -> None:
    """Raise if an array is gone: its chunks would be taken for ones that were never written."""
    if _read_key(array.path, "zarr.json" if array.version == 3 else ".zarray") is None:
        raise VolumeNotFoundError(
            f"{array.path}: the Zarr array that was opened here is gone; check the path, and "
            "whether the disk or network folder is still there"
        )


def _nothing_there(url: str) -> VolumeReadError:
    if not _is_remote(url) and Path(url).exists():
        return damaged(url, "there is no zarr.json, .zarray or .zgroup in it")
    return VolumeNotFoundError(f"{url}: there is no Zarr array or group here; check the path")


def _is_array(node: Mapping[str, Any]) -> bool:
    return node.get("node_type") == "array" or (node.get("zarr_format") == 2 and "shape" in node)


def _read_json(url: str, key: str) -> Mapping[str, Any] | None:
    text = _read_key(url, key)
    if text is None:
        return None
    try:
        return _mapping(url, json.loads(text))
    except (ValueError, RecursionError) as error:
        raise damaged(f"{url}/{key}", f"is not JSON, {error}") from error


def _mapping(url: str, value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise damaged(url, f"expected metadata in a mapping, got {type(value).__name__}")
    return value


def _read_key(url: str, key: str) -> bytes | None:
    if _is_remote(url):
        reader: Callable[[str, str], bytes | None]
        reader = _tensorstore.read_key if _tensorstore.is_usable() else _object_store.read_key
        with decoding(url, "the store"):
            return reader(url, key)
    file = Path(url, key)
    with reading(file):
        if not file.is_file():
            return None
        with file.open("rb") as opened:
            text = opened.read(_MOST_JSON_BYTES + 1)
    if len(text) > _MOST_JSON_BYTES:
        raise damaged(file, f"has more than {_MOST_JSON_BYTES} bytes of metadata")
    return text


def _axes(array: ZarrArray, image: OmeLevel | None) -> tuple[str, ...]:
    axes = array.axes if image is None else image.axes
    if axes is None or not {"x", "y"} <= set(axes):
        axes = _UNNAMED.get(len(array.shape))
    if axes is None or len(axes) != len(array.shape) or len(set(axes)) != len(axes):
        raise damaged(array.path, f"axes {axes} are not those of an array of shape {array.shape}")
    return axes


def _shape(axes: tuple[str, ...], stored: tuple[int, ...]) -> Shape4:
    lengths = dict(zip(axes, stored, strict=True))
    w, h, d = (lengths.get(axis, 1) for axis in _SPATIAL)
    return math.prod(stored) // (w * h * d), w, h, d


def _affine(array: ZarrArray, image: OmeLevel | None, level: int) -> Any:
    ours = array.attributes.get("voxloom")
    if level == 0 and isinstance(ours, Mapping) and "affine" in ours:
        return ours["affine"]
    if image is not None:
        return image.affine
    identity: Affine = np.eye(4)
    return array.attributes.get("affine", identity)


def _is_remote(path: str) -> bool:
    return "://" in path


def _can_decode(codec: str) -> bool:
    return codec == "raw" or find_spec("numcodecs") is not None
