"""Where to cut patches, and the one place that cuts them."""

from voxloom.patches._cut import copy_box, copy_image_box, cut
from voxloom.patches._padding import PaddingMode, parse_padding_mode
from voxloom.patches._size import parse_patch_size

__all__ = [
    "PaddingMode",
    "copy_box",
    "copy_image_box",
    "cut",
    "parse_padding_mode",
    "parse_patch_size",
]
