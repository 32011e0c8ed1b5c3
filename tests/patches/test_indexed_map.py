"""A map with its index: what is read of it, and when."""

from pathlib import Path

import numpy as np
import pytest

import voxloom
from voxloom.geometry import Box
from voxloom.io import ArraySource, VolumeSource
from voxloom.patches._indexed_map import RegionReads, indexed_map
from voxloom.patches._mass import LabelVoxels
from voxloom.patches._voxels import read_part


class Counting(VolumeSource):
    """An array that is read by region, and counts what was read."""

    reads_regions = True

    def __init__(self, array: np.ndarray) -> None:
        source = ArraySource(array)
        self.shape, self.dtype, self.space, self.path = (
            source.shape, source.dtype, source.space, None,
        )  # fmt: skip
        self._source = source
        self.voxels_read = 0

    def read(self, box: Box | None = None) -> np.ndarray:
        voxels = self._source.read(box)
        self.voxels_read += voxels.size
        return voxels


def labels() -> np.ndarray:
    array = np.zeros((1, 40, 41, 42), dtype=np.uint8)
    array[0, 20:30, 20:30, 20:30] = 1
    return array


def test_parts_are_those_of_the_array() -> None:
    parts = RegionReads(voxloom.LabelMap(tensor=labels()))
    box = Box((32, 16, 40), (40, 32, 42))
    assert np.array_equal(read_part(parts, box), labels()[:, 32:40, 16:32, 40:])
    assert np.array_equal(read_part(labels(), box), read_part(parts, box))
    assert parts.shape == labels().shape


def test_a_map_without_a_stored_index_is_read_once() -> None:
    source = Counting(labels())
    image = voxloom.LabelMap.from_source(source)
    _, (index,) = indexed_map(image, [LabelVoxels(1)])
    assert index.total == 1000
    assert source.voxels_read == labels().size


@pytest.mark.parametrize("layout", ["nifti", "zarr"])
def test_a_prepared_map_gives_the_same_places_and_reads_blocks_only(
    tmp_path: Path, layout: str
) -> None:
    pytest.importorskip("zarr") if layout == "zarr" else None
    subject = voxloom.Subject(seg=voxloom.LabelMap(tensor=labels()))
    prepared = voxloom.prepare(
        voxloom.SubjectsDataset([subject]), tmp_path / "store", layout=layout
    ).dry_iter()[0]
    sampler = voxloom.LabelSampler(7, "seg", {0: 1, 1: 1})
    voxels, _ = indexed_map(prepared["seg"], [LabelVoxels(1)])
    assert isinstance(voxels, RegionReads)
    assert not prepared["seg"].is_loaded
    here, there = (
        [patch["index_ini"].tolist() for patch in sampler(one, 20, rng=3)]
        for one in (subject, prepared)
    )
    assert here == there
    assert not prepared["seg"].is_loaded
