"""Keeps pictures of patches as they leave a queue: of one batch at a time, while someone looks."""

from __future__ import annotations

import base64
import time
from collections import deque
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from voxloom.io import Array
from voxloom.loading._running import Patch
from voxloom.view._png import encode_png

_SIDE: Final = 64
_MOST_PICTURES: Final = 16
_BATCHES_KEPT: Final = 64
_BATCHES_AHEAD: Final = 3
_INTEREST_S: Final = 3.0


@dataclass(frozen=True, slots=True, eq=False)
class _Glimpse:
    subject: int
    image: str
    index_ini: tuple[int, int, int]
    pixels: Array

    def as_dict(self) -> dict[str, Any]:
        png = base64.b64encode(encode_png(self.pixels)).decode()
        return {
            "subject": self.subject,
            "image": self.image,
            "index_ini": list(self.index_ini),
            "png": png,
        }


class BatchOnlooker:
    """Sees patches and batches leave, and remembers little, so that the trainer hardly waits.

    Voxels are only copied within a few seconds after `pictures` was asked for, and then of so
    many patches that one whole batch is among them; encoding is left to whoever asks.
    """

    def __init__(self) -> None:
        self.batches: deque[tuple[int, int, list[int]]] = deque(maxlen=_BATCHES_KEPT)
        self.seen = 0
        self._largest = 1
        self._glimpses: dict[tuple[int, int], _Glimpse] = {}
        self._pictures: list[dict[str, Any]] = []
        self._asked_s = -np.inf

    def see_patch(self, patch: Patch) -> None:
        """Copy the middle of a patch, if its batch may be the one that is shown next."""
        if len(self._glimpses) >= self._wanted() or time.monotonic() > self._asked_s + _INTEREST_S:
            return
        for name, voxels in patch.voxels.items():
            glimpse = _Glimpse(patch.subject, name, patch.index_ini, middle_of(voxels))
            self._glimpses[patch.epoch, patch.place] = glimpse
            return  # the first image is enough to recognise a patch

    def see_batch(self, epoch: int, first: int, subjects: list[int]) -> None:
        """Remember whose patches a batch has."""
        self.batches.append((epoch, first, subjects))
        self._largest = max(self._largest, len(subjects))
        self.seen += 1

    def pictures(self) -> list[dict[str, Any]]:
        """Return pictures of a batch that has just left: subject, place and PNG in base 64."""
        self._asked_s = time.monotonic()
        glimpses = self._glimpses.copy()
        for epoch, first, subjects in reversed(self.batches.copy()):
            keys = [(epoch, first + n) for n in range(min(len(subjects), _MOST_PICTURES))]
            if all(key in glimpses for key in keys):
                self._pictures = [glimpses[key].as_dict() for key in keys]
                self._glimpses = {}
                break
        else:
            if len(glimpses) >= self._wanted():
                self._glimpses = {}  # the batch that they belong to was missed
        return self._pictures

    def _wanted(self) -> int:
        """Return so many patches that a whole batch is among them, wherever they begin."""
        return _BATCHES_AHEAD * (self._largest if self.batches else _MOST_PICTURES)


def middle_of(voxels: Array) -> Array:
    """Return the middle slice of a patch, made smaller, with its second axis up.

    Parameters
    ----------
    voxels : (C, W, H, D) array

    Returns
    -------
    (rows, columns) array
        A copy, of at most 64 x 64 voxels of the first channel.

    Examples
    --------
    >>> middle_of(np.zeros((1, 100, 40, 9))).shape
    (40, 50)
    """
    plane = voxels[0, :, :, voxels.shape[3] // 2]
    step_w, step_h = (-(-length // _SIDE) for length in plane.shape)
    return np.ascontiguousarray(plane[::step_w, ::step_h].T[::-1])
