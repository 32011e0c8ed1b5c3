"""Running a trained network over whole volumes, however large they are."""

from voxloom.inference._infer import infer

__all__ = ["infer"]
