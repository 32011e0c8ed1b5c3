"""Where voxels are: boxes, affines and spaces. Pure NumPy, no files, no torch."""

from voxloom.geometry._affine import Affine, as_affine, corners, orientation_of, spacing_of
from voxloom.geometry._box import Box, Index3, Shape3
from voxloom.geometry._slices import box_of_slices
from voxloom.geometry._space import Point, Space

__all__ = [
    "Affine",
    "Box",
    "Index3",
    "Point",
    "Shape3",
    "Space",
    "as_affine",
    "box_of_slices",
    "corners",
    "orientation_of",
    "spacing_of",
]
