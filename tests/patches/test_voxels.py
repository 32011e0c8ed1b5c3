"""Maps that are indexed part by part: the same draws, and no more in memory than a part."""

import itertools

import numpy as np
import pytest

import voxloom
from voxloom._errors import ProbabilityError
from voxloom._random import Stream
from voxloom.geometry import Box
from voxloom.io import ArraySource, VolumeSource
from voxloom.patches import _voxels
from voxloom.patches._block_index import index_masses
from voxloom.patches._mass import Foreground, LabelVoxels, Weights
from voxloom.patches._voxels import RegionReads, held_labels


class InChunks(VolumeSource):
    """An array that is read by region, and remembers what was asked for."""

    reads_regions = True

    def __init__(self, array: np.ndarray, chunk: tuple[int, int, int] | None = None) -> None:
        self._source = ArraySource(array)
        self.shape, self.dtype, self.space, self.path = (
            self._source.shape, self._source.dtype, self._source.space, None,
        )  # fmt: skip
        self.chunk_shape = chunk
        self.asked: list[Box | None] = []

    def read(self, box: Box | None = None) -> np.ndarray:
        self.asked.append(box)
        return self._source.read(box)


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_voxels, "_PART_BYTES", 16_000)


def random_maps() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    labels = rng.integers(-1, 5, (1, 70, 61, 83)).astype(np.int16)
    labels[0, :, :, 30:] *= rng.random((70, 61, 53)) < 0.01
    return labels, rng.random((2, 70, 61, 83)).astype(np.float32)


CHUNKS = [None, (16, 16, 16), (5, 7, 9), (70, 1, 1), (1, 1, 83), (100, 100, 100)]


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("chunk", CHUNKS)
def test_an_index_made_part_by_part_is_that_of_the_array(
    chunk: tuple[int, int, int] | None,
) -> None:
    labels, weights = random_maps()
    counted = [LabelVoxels(2), LabelVoxels(0), Foreground()]
    for array, masses in ((labels, counted), (weights, [Weights()])):
        source = InChunks(array, chunk)
        parts = RegionReads(voxloom.Image.from_source(source, "label"))
        for within in (None, Box((9, 20, 11), (60, 30, 72))):
            found = index_masses(parts, masses, within)
            expected = index_masses(array, masses, within)
            for one, other in zip(found, expected, strict=True):
                np.testing.assert_array_equal(one.sums, other.sums)


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("chunk", CHUNKS[:3])
def test_every_voxel_is_read_once_and_little_of_it_at_once(
    chunk: tuple[int, int, int] | None,
) -> None:
    labels, _ = random_maps()
    source = InChunks(labels, chunk)
    index_masses(RegionReads(voxloom.LabelMap.from_source(source)), [Foreground()])
    seen = np.zeros(labels.shape[1:], np.int8)
    for box in source.asked:
        assert box is not None
        assert np.prod(box.size) * 2 <= 16_000
        seen[box.slices] += 1
    assert (seen == 1).all()
    assert len(source.asked) > 1


@pytest.mark.usefixtures("small_parts")
def test_draws_from_parts_are_those_from_memory_also_near_the_border() -> None:
    labels, weights = random_maps()
    rim = np.zeros_like(labels)
    rim[0, 3:9] = 1  # most of it where no patch of 9 voxels may lie: indexed anew
    rim[0, 4, 30, 40] = 2
    samplers = {
        "seg": [voxloom.LabelSampler(9, "seg"), voxloom.LabelSampler((9, 10, 16), "seg", {2: 1})],
        "rim": [voxloom.LabelSampler((15, 9, 9), "rim", {1: 1})],
        "map": [voxloom.WeightedSampler(8, "map")],
    }
    arrays = {"seg": labels, "rim": rim, "map": weights}
    for name, sampler in ((n, s) for n in samplers for s in samplers[n]):
        kind = "sampling_map" if name == "map" else "label"
        places = []
        for source in (ArraySource(arrays[name]), InChunks(arrays[name], (16, 16, 16))):
            image = voxloom.Image.from_source(source, kind)
            draw, stream = sampler.prepare(voxloom.Subject({name: image})), Stream(1, "patch")
            places.append([draw(stream.at(number)) for number in range(60)])
        assert places[0] == places[1]


@pytest.mark.usefixtures("small_parts")
def test_errors_of_maps_that_are_read_in_parts_read_no_whole_map() -> None:
    labels, weights = random_maps()
    source = InChunks(labels, (16, 16, 16))
    subject = voxloom.Subject(seg=voxloom.LabelMap.from_source(source))
    with pytest.raises(voxloom.EmptyProbabilityMapError, match="it has -1, 0, 1, 2, 3, 4"):
        voxloom.LabelSampler(8, "seg", {9: 1}).prepare(subject)
    weights[1, 60, 50, 80] = np.inf
    other = InChunks(weights, (16, 16, 16))
    subject = voxloom.Subject(map=voxloom.Image.from_source(other, "sampling_map"))
    with pytest.raises(ProbabilityError, match="holds inf: clip it"):
        voxloom.WeightedSampler(8, "map").prepare(subject)
    for box in itertools.chain(source.asked, other.asked):
        assert box is not None
        assert np.prod(box.size) < labels.size / 10


def test_labels_are_told_channel_by_channel_where_there_are_several() -> None:
    labels = np.zeros((3, 8, 8, 8), np.uint8)
    labels[1, 4, 4, 4] = 5
    assert held_labels(labels) == [1]
    assert held_labels(labels[1:2]) == [0, 5]
