"""Grids and what joins them, as scripts of the field import it."""

from voxloom.patches import GridAggregator, GridSampler

__all__ = ["GridAggregator", "GridSampler"]
