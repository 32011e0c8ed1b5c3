"""Where patches are cut, as scripts of the field import it."""

from voxloom.patches import (
    GridSampler,
    LabelSampler,
    PatchSampler,
    UniformSampler,
    WeightedSampler,
)

__all__ = [
    "GridSampler",
    "LabelSampler",
    "PatchSampler",
    "UniformSampler",
    "WeightedSampler",
]
