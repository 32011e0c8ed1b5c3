from typing import Any

import numpy as np
import pytest

from voxloom._errors import VolumeReadError
from voxloom.io._ome import multiscales_of, ome_level

AXES = [
    {"name": "c", "type": "channel"},
    {"name": "z", "type": "space", "unit": "micrometer"},
    {"name": "y", "type": "space", "unit": "millimeter"},
    {"name": "x", "type": "space"},
]


def image(axes: Any = AXES, scale: Any = (1, 500, 2, 3), **more: Any) -> dict[str, Any]:
    change = [{"type": "scale", "scale": list(scale)}]
    return {"axes": axes, "datasets": [{"path": "0", "coordinateTransformations": change}], **more}


def test_units_become_millimetres() -> None:
    level = ome_level("a.zarr", image(), 0)
    assert level.axes == ("c", "z", "y", "x")
    np.testing.assert_allclose(np.diag(level.affine), (3, 2, 0.5, 1))


def test_translations_and_the_images_own_scale_apply_in_order() -> None:
    level = image()
    shift = {"type": "translation", "translation": [0, 1000, 5, 6]}
    level["datasets"][0]["coordinateTransformations"].append(shift)
    level["coordinateTransformations"] = [{"type": "scale", "scale": [1, 2, 2, 2]}]
    affine = ome_level("a.zarr", level, 0).affine
    np.testing.assert_allclose(np.diag(affine), (6, 4, 1, 1))
    np.testing.assert_allclose(affine[:3, 3], (12, 10, 2))


def test_orientations_turn_and_flip_the_axes() -> None:
    ways = ("superior-to-inferior", "left-to-right", "anterior-to-posterior")
    axes = [AXES[0]] + [
        {"name": name, "type": "space", "orientation": {"type": "anatomical", "value": way}}
        for name, way in zip("zyx", ways, strict=True)
    ]
    affine = ome_level("a.zarr", image(axes, (1, 5, 2, 3)), 0).affine
    np.testing.assert_allclose(affine[:3, :3], [[0, 2, 0], [-3, 0, 0], [0, 0, -5]])


def test_names_alone_are_axes_too() -> None:
    assert ome_level("a.zarr", image(list("zyx"), (1, 2, 3)), 0).axes == ("z", "y", "x")


def test_an_absent_level_is_refused() -> None:
    with pytest.raises(VolumeReadError, match=r"a\.zarr: it has 1 resolutions, there is no 1"):
        ome_level("a.zarr", image(), 1)


@pytest.mark.parametrize("attributes", [{"multiscales": [1]}, {"ome": {"multiscales": [1]}}])
def test_multiscales_are_found_in_either_version(attributes: Any) -> None:
    assert multiscales_of(attributes) == [1]
    assert multiscales_of({}) == []


def test_axes_of_space_with_other_names_are_z_y_x_in_their_order() -> None:
    axes = [{"name": name, "type": "space"} for name in ("depth", "height", "width")]
    level = ome_level("a.zarr", image([{"name": "c", "type": "channel"}, *axes], (1, 2, 3, 4)), 0)
    assert level.axes == ("c", "z", "y", "x")
    assert np.diag(level.affine).tolist() == [4, 3, 2, 1]


def test_transformations_that_are_not_understood_are_refused() -> None:
    given = image()
    given["datasets"][0]["coordinateTransformations"].append({"type": "rotation"})
    with pytest.raises(VolumeReadError, match="of type 'rotation'"):
        ome_level("a.zarr", given, 0)
