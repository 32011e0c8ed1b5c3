"""A synthetic head of any size: nested, deformed ellipsoids with contrast, bias and noise.

Only additions, multiplications, divisions and comparisons of float32 arrays are used, each a
ufunc of its own, and random words from `voxloom._random`. Such operations are exact by IEEE 754,
so the voxels are the same with every NumPy, compiler and processor.
"""

from __future__ import annotations

import operator
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, final

import numpy as np
import numpy.typing as npt

from voxloom._errors import GeometryError
from voxloom._random import Stream
from voxloom.geometry import Box, Space
from voxloom.io import Array, VolumeSource
from voxloom.subjects import LabelMap, ScalarImage, Subject

Field = npt.NDArray[np.float32]

MOST_LABELS: Final = 64
_LEAST: Final = 4
_SLAB_VOXELS: Final = 1 << 17  # a slab's dozen float32 arrays then stay within a core's cache
_TISSUES: Final = (260.0, 820.0, 480.0, 1040.0, 640.0)
_NOISE: Final = 30.0
_AIR: Final = 16.0


def phantom_space(shape: Sequence[int]) -> Space:
    """Return the space of a phantom: 1 mm voxels, the origin in the middle of the volume.

    Raises
    ------
    GeometryError
        If the shape is not three integers of at least 4.
    """
    try:
        w, h, d = (operator.index(n) for n in shape)
    except (TypeError, ValueError):
        w = h = d = 0
    if min(w, h, d) < _LEAST:
        raise GeometryError(
            f"a phantom's shape is three integers of at least {_LEAST}, got {shape!r}"
        )
    affine = np.eye(4)
    affine[:3, 3] = [-(n - 1) / 2 for n in (w, h, d)]
    return Space((w, h, d), affine)


@dataclass(frozen=True, slots=True)
class Anatomy:
    """What the seed decides: the shape of a head, each number in units of the volume.

    Attributes
    ----------
    labels : int
        Number of nested tissues.
    axes, centre : (3,) tuple of float
        Half axes and centre of the head, where the volume spans -1 to 1.
    phases : (12,) tuple of float
        Where the waves that deform the tissues begin, 0 to 1.
    tilt : (3,) tuple of float
        How the bias field rises along each axis.
    """

    labels: int
    axes: tuple[float, ...]
    centre: tuple[float, ...]
    phases: tuple[float, ...]
    tilt: tuple[float, ...]

    @classmethod
    def from_seed(cls, seed: int, labels: int) -> Anatomy:
        """Return the head that belongs to a seed."""
        unit = (Stream(seed, "phantom", "anatomy").words(21) >> np.uint64(40)).astype(float) / 2**24
        return cls(
            labels,
            tuple((0.78 + 0.12 * unit[0:3]).tolist()),
            tuple((0.08 * (unit[3:6] - 0.5)).tolist()),
            tuple(unit[6:18].tolist()),
            tuple((0.3 * (unit[18:21] - 0.5)).tolist()),
        )

    def depths(self, x: Field, y: Field, z: Field) -> Iterator[Field]:
        """Yield for each tissue, outermost first, how far inside it a point lies (> 0: inside).

        The unit is the squared radius of the head. A tissue lies within the one before it, so a
        point has label n if it is inside the first n.
        """
        scaled = [
            (t - np.float32(c)) / np.float32(a)
            for t, c, a in zip((x, y, z), self.centre, self.axes, strict=True)
        ]
        radius = scaled[0] * scaled[0] + scaled[1] * scaled[1] + scaled[2] * scaled[2]
        coarse = self._waves(scaled, 1.3, self.phases[:6])
        fine = self._waves(scaled, 4.1, self.phases[6:])
        for label in range(self.labels):
            edge = 1.0 - 0.8 * label / self.labels
            folds = min(label, 1) * 0.6 / self.labels  # the skin is smooth, what it holds is folded
            yield (
                np.float32(edge * edge)
                - radius
                + np.float32(0.06) * coarse
                + (np.float32(folds * edge) * fine)
            )

    @staticmethod
    def _waves(scaled: Sequence[Field], frequency: float, phases: Sequence[float]) -> Field:
        total: Field = np.zeros(1, dtype=np.float32)
        for axis, phase in enumerate(phases[:3]):
            other, shift = scaled[(axis + 1) % 3], phases[axis + 3]
            total = total + _wave(scaled[axis], frequency, phase) * _wave(other, frequency, shift)
        return total * np.float32(1 / 3)


def _wave(t: Field, frequency: float, phase: float) -> Field:
    """Return a smooth wave of period 1 / frequency between -1 and 1, made of parabolas."""
    turn = t * np.float32(frequency) + np.float32(phase)
    turn = turn - np.floor(turn) - np.float32(0.5)
    result: Field = np.multiply(np.float32(8.0) * turn, np.float32(1.0) - np.abs(turn + turn))
    return result


@final
class PhantomSource(VolumeSource):
    """One volume of a phantom, computed where it is read.

    Parameters
    ----------
    kind : {'t1', 'seg'}
        The image (int16) or its label map (uint8).
    spatial_shape : (W, H, D) tuple of int
        Number of voxels along each axis, at least 4 each.
    labels : int
        Number of tissues, 1 to 64; the label map holds 0 to `labels`.
    seed : int
        Another seed gives another head and other noise.

    Raises
    ------
    GeometryError
        If the shape cannot be used.
    ValueError
        If the number of labels cannot be used.

    Examples
    --------
    >>> source = PhantomSource("seg", (32, 32, 24), labels=4, seed=0)
    >>> source.shape, str(source.dtype), source.read(Box((16, 16, 12), (17, 17, 13))).item()
    ((1, 32, 32, 24), 'uint8', 4)
    """

    reads_regions = True

    def __init__(self, kind: str, spatial_shape: Sequence[int], labels: int, seed: int) -> None:
        if kind not in {"t1", "seg"}:
            raise ValueError(f"a phantom's volumes are 't1' and 'seg', got {kind!r}")
        if labels not in range(1, MOST_LABELS + 1):
            raise ValueError(f"a phantom has 1 to {MOST_LABELS} labels, got {labels!r}")
        self.kind, self.labels, self.seed = kind, int(labels), int(seed)
        self.space = phantom_space(spatial_shape)
        self.shape = (1, *self.space.spatial_shape)
        self.dtype: np.dtype[Any] = np.dtype(np.int16 if kind == "t1" else np.uint8)
        self.path = None

    def read(self, box: Box | None = None) -> Array:
        """Return the voxels in `box`, or all, first axis fastest."""
        box = Box((0, 0, 0), self.spatial_shape) if box is None else box
        self.check_box(box)
        (w, h, d), begin = box.size, box.index_ini[2]
        voxels = np.empty((d, h, w), dtype=self.dtype)
        step = max(1, _SLAB_VOXELS // (w * h))
        anatomy = Anatomy.from_seed(self.seed, self.labels)
        noise = Stream(self.seed, "phantom", "noise")
        fill = self._fill_image if self.kind == "t1" else self._fill_labels
        for at in range(0, d, step):
            slab = Box(
                (*box.index_ini[:2], begin + at),
                (*box.index_fin[:2], begin + min(at + step, d)),
            )
            fill(voxels[at : at + step], slab, anatomy, noise)
        return voxels.transpose(2, 1, 0)[np.newaxis]

    def _fill_labels(self, out: Array, slab: Box, anatomy: Anatomy, noise: Stream) -> None:
        inside = np.ones(out.shape, dtype=bool)
        out[...] = 0
        for depth in anatomy.depths(*self._coordinates(slab)):
            inside &= depth > 0
            out += inside

    def _fill_image(self, out: Array, slab: Box, anatomy: Anatomy, noise: Stream) -> None:
        x, y, z = self._coordinates(slab)
        signal: Field = np.zeros(out.shape, dtype=np.float32)
        share: Field = np.ones(out.shape, dtype=np.float32)
        before = 0.0
        blur = np.float32(min(self.spatial_shape) / 4)  # one voxel of partial volume at the border
        for label, depth in enumerate(anatomy.depths(x, y, z)):
            after = _TISSUES[label % len(_TISSUES)]
            share = np.minimum(share, np.clip(depth * blur + np.float32(0.5), 0, 1))
            signal += share * np.float32(after - before)
            before = after
        a, b, c = (np.float32(t) for t in anatomy.tilt)
        signal *= np.float32(1.0) + a * x + b * y + c * z - np.float32(0.1) * (x * x + y * y)
        tissue = np.minimum(signal / np.float32(_TISSUES[0]), np.float32(1.0))
        signal += self._noise(slab, noise) * (np.float32(_AIR) + np.float32(_NOISE - _AIR) * tissue)
        np.rint(np.abs(signal), out=signal)  # a magnitude image has no negative voxels
        out[...] = signal.astype(np.int16)

    def _coordinates(self, slab: Box) -> tuple[Field, Field, Field]:
        """Return where the voxels are, -1 to 1 along each axis, to broadcast to (d, h, w)."""
        lines = [
            ((2 * np.arange(i, f) + 1 - n) / n).astype(np.float32)
            for i, f, n in zip(slab.index_ini, slab.index_fin, self.spatial_shape, strict=True)
        ]
        return lines[0], lines[1][:, np.newaxis], lines[2][:, np.newaxis, np.newaxis]

    def _noise(self, slab: Box, noise: Stream) -> Field:
        """Return noise of mean 0 and variance 1, nearly normal: the sum of four uniform parts."""
        w, h, _ = self.spatial_shape
        planes = np.empty((slab.size[2], *reversed(slab.size[:2])), dtype=np.float32)
        rows, columns = slab.slices[1], slab.slices[0]
        for row, plane in enumerate(range(slab.index_ini[2], slab.index_fin[2])):
            words = noise.words(w * h, patch=plane).reshape(h, w)[rows, columns]
            parts = np.ascontiguousarray(words).view(np.uint16).reshape(*words.shape, 4)
            total = parts.sum(axis=-1, dtype=np.int32) - 2 * 65535
            planes[row] = total.astype(np.float32)
        planes *= np.float32(1 / 37837.0)  # 65536 / sqrt(3), the deviation of that sum
        return planes


def Phantom(  # noqa: N802 - reads as the other data sets, whose names are nouns
    shape: Sequence[int] = (128, 128, 96), labels: int = 4, seed: int = 0
) -> Subject:
    """Return a synthetic head of any size, for examples, tests and benchmarks.

    Nothing is computed here: each image computes the voxels that are read from it, a slab at a
    time, and the same voxels on every machine. A volume of 256x256x192 takes one to two seconds
    for the image and a fraction of one for the label map; as ``.nii.gz`` they take about 13 MB
    and 0.3 MB, like a real T1 and its segmentation.

    Parameters
    ----------
    shape : (W, H, D) sequence of int
        Number of voxels along each axis, at least 4 each. Voxels are 1 mm wide.
    labels : int
        Number of nested tissues, 1 to 64. The outermost has label 1, air has 0.
    seed : int
        Another seed gives another head and other noise.

    Returns
    -------
    Subject
        ``t1`` (int16, intensities) and ``seg`` (uint8, labels 0 to `labels`), both
        ``(1, W, H, D)``.

    Raises
    ------
    GeometryError
        If the shape cannot be used.
    ValueError
        If the number of labels cannot be used.

    Examples
    --------
    >>> subject = Phantom((32, 32, 24), labels=3)
    >>> subject.spatial_shape, sorted(set(subject.seg.array.ravel().tolist()))
    ((32, 32, 24), [0, 1, 2, 3])
    """
    return Subject(
        t1=ScalarImage.from_source(PhantomSource("t1", shape, labels, seed)),
        seg=LabelMap.from_source(PhantomSource("seg", shape, labels, seed)),
    )
