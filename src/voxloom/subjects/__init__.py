"""Who is trained on: images, subjects and data sets of them."""

from voxloom.subjects._check_report import CheckReport, Finding, ImageRow
from voxloom.subjects._collate import (
    check_same_metadata,
    collate,
    collate_metadata,
    has_same_items,
    names_of_batch,
    teach_default_collate,
)
from voxloom.subjects._copies import lazy_copy, load_copy, own_metadata, own_value
from voxloom.subjects._dataset import SubjectsDataset, Transform
from voxloom.subjects._image import Image, LabelMap, ScalarImage
from voxloom.subjects._keys import (
    AFFINE,
    CHANNELS_DIMENSION,
    DATA,
    INDEX_INI,
    INTENSITY,
    LABEL,
    LOCATION,
    NUM_SAMPLES,
    PATH,
    SAMPLING_MAP,
    STEM,
    TYPE,
)
from voxloom.subjects._subject import Subject, as_subject, kind_of

__all__ = [
    "AFFINE",
    "CHANNELS_DIMENSION",
    "DATA",
    "INDEX_INI",
    "INTENSITY",
    "LABEL",
    "LOCATION",
    "NUM_SAMPLES",
    "PATH",
    "SAMPLING_MAP",
    "STEM",
    "TYPE",
    "CheckReport",
    "Finding",
    "Image",
    "ImageRow",
    "LabelMap",
    "ScalarImage",
    "Subject",
    "SubjectsDataset",
    "Transform",
    "as_subject",
    "check_same_metadata",
    "collate",
    "collate_metadata",
    "has_same_items",
    "kind_of",
    "lazy_copy",
    "load_copy",
    "names_of_batch",
    "own_metadata",
    "own_value",
    "teach_default_collate",
]
