"""Running a trained network over whole volumes, however large they are.

`GridSampler` and `GridAggregator` are here as well, where scripts of the field look for them.
"""

from voxloom.inference._infer import infer
from voxloom.patches import GridAggregator, GridSampler

__all__ = ["GridAggregator", "GridSampler", "infer"]
