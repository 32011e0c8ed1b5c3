"""The names of patch training in one place, as scripts of the field import them."""

from voxloom.data import inference, queue, sampler
from voxloom.loading import Queue, SubjectsLoader
from voxloom.patches import (
    GridAggregator,
    GridSampler,
    LabelSampler,
    PatchSampler,
    UniformSampler,
    WeightedSampler,
)
from voxloom.subjects import Image, LabelMap, ScalarImage, Subject, SubjectsDataset

__all__ = [
    "GridAggregator",
    "GridSampler",
    "Image",
    "LabelMap",
    "LabelSampler",
    "PatchSampler",
    "Queue",
    "ScalarImage",
    "Subject",
    "SubjectsDataset",
    "SubjectsLoader",
    "UniformSampler",
    "WeightedSampler",
    "inference",
    "queue",
    "sampler",
]
