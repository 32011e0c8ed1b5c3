"""OME-Zarr: which array of a group is the image, its axes, units and place (OME-NGFF 0.4, 0.5)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from voxloom._errors import VolumeReadError
from voxloom.geometry import Affine
from voxloom.io._lengths import millimetres_in

_SPATIAL: Final = ("x", "y", "z")
_DIRECTIONS: Final = {
    "left-to-right": (0, 1),
    "right-to-left": (0, -1),
    "posterior-to-anterior": (1, 1),
    "anterior-to-posterior": (1, -1),
    "inferior-to-superior": (2, 1),
    "superior-to-inferior": (2, -1),
}


@dataclass(frozen=True, slots=True)
class OmeLevel:
    """One resolution of a multiscale image.

    Attributes
    ----------
    component : str
        Where its array lies in the group.
    axes : tuple of str
        Names of its axes, in the order of the array.
    affine : (4, 4) float64
        Voxel indices (x, y, z) to world, mm.
    """

    component: str
    axes: tuple[str, ...]
    affine: Affine


def multiscales_of(attributes: Mapping[str, Any]) -> list[Any]:
    """Return the multiscale images of a group's attributes, of 0.5 or of earlier versions."""
    ome = attributes.get("ome")
    found = (ome if isinstance(ome, Mapping) else attributes).get("multiscales")
    return found if isinstance(found, list) else []


def ome_level(path: str, multiscale: Mapping[str, Any], level: int) -> OmeLevel:
    """Return one resolution of a multiscale image; 0 is the finest.

    Axes point right, anterior and superior along x, y and z unless they say otherwise, by the
    orientation of OME's RFC-4. Units become mm; without a unit, numbers are mm.

    Raises
    ------
    VolumeReadError
        If there is no such level.
    """
    levels = multiscale["datasets"]
    if not 0 <= level < len(levels):
        raise VolumeReadError(f"{path}: it has {len(levels)} resolutions, there is no {level}")
    axes = [axis if isinstance(axis, Mapping) else {"name": axis} for axis in _axes(multiscale)]
    names = _names(axes)
    scale, shift = np.ones(len(axes)), np.zeros(len(axes))
    for owner in (levels[level], multiscale):
        for change in owner.get("coordinateTransformations") or []:
            if change.get("type") == "scale":
                factor = np.asarray(change["scale"], dtype=np.float64)
                scale, shift = scale * factor, shift * factor
            elif change.get("type") == "translation":
                shift = shift + np.asarray(change["translation"], dtype=np.float64)
            elif change.get("type") != "identity":
                raise VolumeReadError(
                    f"{path}: expected scales and translations of its axes, got a transformation "
                    f"of type {change.get('type')!r}; open the array inside, or pass reader="
                )
    return OmeLevel(str(levels[level]["path"]), names, _affine(axes, names, scale, shift))


def _names(axes: list[Any]) -> tuple[str, ...]:
    """Return the names of axes; those of space that have other names are z, y, x in this order."""
    names = [str(axis["name"]).lower() for axis in axes]
    in_space = [n for n, axis in enumerate(axes) if axis.get("type") == "space"]
    if not {"x", "y"} <= set(names) and 2 <= len(in_space) <= 3:
        for name, place in zip(_SPATIAL, reversed(in_space), strict=False):
            names[place] = name
    return tuple(names)


def _axes(multiscale: Mapping[str, Any]) -> list[Any]:
    return list(multiscale.get("axes") or ["t", "c", "z", "y", "x"])


def _affine(axes: list[Any], names: tuple[str, ...], scale: Any, shift: Any) -> Affine:
    affine = np.zeros((4, 4))
    affine[3, 3] = 1
    for column, name in enumerate(_SPATIAL):
        if name not in names:
            affine[column, column] = 1
            continue
        place = names.index(name)
        row, sign = _direction(axes[place], column)
        unit = millimetres_in(axes[place].get("unit")) * sign
        affine[row, column] = scale[place] * unit
        affine[row, 3] = shift[place] * unit
    return affine


def _direction(axis: Mapping[str, Any], column: int) -> tuple[int, int]:
    given = axis.get("orientation", axis.get("anatomicalOrientation"))
    value = given.get("value") if isinstance(given, Mapping) else given
    return _DIRECTIONS.get(str(value), (column, 1))
