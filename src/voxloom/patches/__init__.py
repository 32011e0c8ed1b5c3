"""Where to cut patches, and the one place that cuts them."""

from voxloom.patches._aggregator import GridAggregator
from voxloom.patches._cut import (
    copy_box,
    copy_image_box,
    copy_image_boxes,
    cut,
    is_first_axis_fastest,
)
from voxloom.patches._grid import Grid, grid_locations
from voxloom.patches._grid_sampler import GridSampler
from voxloom.patches._label import LabelSampler
from voxloom.patches._padding import PaddingMode, parse_padding_mode
from voxloom.patches._sampler import Draw, PatchSampler
from voxloom.patches._size import parse_patch_size
from voxloom.patches._stored_index import load_index, save_index
from voxloom.patches._turn import c_order_pieces, give_memory, kept_memory
from voxloom.patches._uniform import UniformSampler
from voxloom.patches._weighted import WeightedSampler

__all__ = [
    "Draw",
    "Grid",
    "GridAggregator",
    "GridSampler",
    "LabelSampler",
    "PaddingMode",
    "PatchSampler",
    "UniformSampler",
    "WeightedSampler",
    "c_order_pieces",
    "copy_box",
    "copy_image_box",
    "copy_image_boxes",
    "cut",
    "give_memory",
    "grid_locations",
    "is_first_axis_fastest",
    "kept_memory",
    "load_index",
    "parse_padding_mode",
    "parse_patch_size",
    "save_index",
]
