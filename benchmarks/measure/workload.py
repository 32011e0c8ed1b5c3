"""The work that every loader is given, as one frozen value that travels as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Literal

Sampling = Literal["label", "uniform"]
LABELS = (1, 2, 3, 4)


@dataclass(frozen=True, slots=True)
class Workload:
    """Sizes of the volumes and of the epoch; the same for every loader of one table.

    ``spatial_shape`` and ``patch_size`` are voxels along (W, H, D); ``max_length`` counts
    patches and means something only to loaders that have a queue. ``delay_s`` is slept for each
    volume by a transform, in the worker: a cost that no other program on the machine changes.
    ``prepared`` is the folder in which loaders of prepared data find theirs.
    """

    subjects: int = 12
    spatial_shape: tuple[int, int, int] = (256, 256, 192)
    patch_size: int = 96
    samples_per_volume: int = 8
    num_workers: int = 2
    batch_size: int = 4
    max_length: int = 64
    epochs: int = 2
    sampling: Sampling = "label"
    seed: int = 0
    delay_s: float = 0.0
    prepared: str = ""

    def __post_init__(self) -> None:
        if self.samples_per_volume % self.batch_size:
            # MONAI yields the patches of one volume together; halves of them make its batches.
            raise ValueError(
                f"samples_per_volume must be a multiple of batch_size, got "
                f"{self.samples_per_volume} and {self.batch_size}"
            )
        if self.patch_size > min(self.spatial_shape):
            raise ValueError(
                f"a patch of {self.patch_size} does not fit a volume of {self.spatial_shape}"
            )

    @property
    def patches(self) -> int:
        """Patches in one epoch."""
        return self.subjects * self.samples_per_volume

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Workload:
        values = json.loads(text)
        values["spatial_shape"] = tuple(values["spatial_shape"])
        return cls(**values)
