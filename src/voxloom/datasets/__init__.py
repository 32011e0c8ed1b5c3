"""Volumes to start with: two templates of the human brain, and a phantom of any size."""

from voxloom.datasets._colin27 import Colin27
from voxloom.datasets._mni152 import MNI152
from voxloom.datasets._phantom import Phantom, PhantomSource
from voxloom.datasets._write import write_phantoms

__all__ = ["MNI152", "Colin27", "Phantom", "PhantomSource", "write_phantoms"]
