import hashlib
import pickle
import tracemalloc
from functools import cache
from itertools import pairwise

import isal.igzip
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voxloom._errors import GeometryError
from voxloom.datasets import Phantom, PhantomSource
from voxloom.geometry import Box
from voxloom.io import Array
from voxloom.testing import check_reader

SHAPE = (21, 24, 19)


@cache
def whole(kind: str) -> Array:
    return PhantomSource(kind, SHAPE, labels=3, seed=5).read()


def digest(voxels: Array) -> str:
    ordered = voxels.astype(voxels.dtype.newbyteorder("<")).tobytes(order="F")
    return hashlib.blake2b(ordered, digest_size=8).hexdigest()


def test_the_voxels_are_the_same_on_every_machine() -> None:
    assert digest(whole("t1")) == "123a64d982034e66"
    assert digest(whole("seg")) == "83bd290e4c091260"


@pytest.mark.parametrize("kind", ["t1", "seg"])
def test_it_keeps_the_contract_of_a_reader(kind: str) -> None:
    check_reader(PhantomSource(kind, SHAPE, labels=3, seed=5))


@settings(max_examples=25, deadline=None)
@given(st.tuples(*(st.integers(0, n - 1) for n in SHAPE)), st.data())
def test_any_region_is_that_part_of_the_whole(
    ini: tuple[int, int, int], data: st.DataObject
) -> None:
    i, j, k = (data.draw(st.integers(a + 1, n)) for a, n in zip(ini, SHAPE, strict=True))
    box = Box(ini, (i, j, k))
    for kind in ("t1", "seg"):
        region = PhantomSource(kind, SHAPE, labels=3, seed=5).read(box)
        np.testing.assert_array_equal(region, whole(kind)[(slice(None), *box.slices)])


@pytest.mark.parametrize("labels", [1, 2, 4, 10])
@pytest.mark.parametrize("seed", [0, 1])
def test_every_label_occurs_and_air_surrounds_the_head(labels: int, seed: int) -> None:
    seg = Phantom((64, 56, 48), labels, seed).seg.array[0]
    assert np.unique(seg).tolist() == list(range(labels + 1))
    assert not any(face.any() for face in (seg[0], seg[-1], seg[:, 0], seg[:, -1]))


def test_tissues_are_nested() -> None:
    seg = whole("seg")[0].astype(int)
    middle = seg[10, 12, 9]
    assert middle == 3
    line = seg[:11, 12, 9]
    assert (np.diff(line) >= 0).all()


def test_tissues_differ_in_the_image() -> None:
    subject = Phantom((64, 64, 48), labels=4)
    image, seg = subject.t1.array, subject.seg.array
    means = [image[seg == label].mean() for label in range(5)]
    spread = max(image[seg == label].std() for label in range(5))
    assert means[0] < 30
    assert min(abs(a - b) for a, b in pairwise(means)) > spread


def test_another_seed_gives_another_head_and_other_noise() -> None:
    one, two = Phantom(SHAPE, seed=0), Phantom(SHAPE, seed=1)
    assert (one.seg.array != two.seg.array).any()
    corner = np.s_[:, :3, :3, :3]
    assert (one.t1.array[corner] != two.t1.array[corner]).any()


def test_it_compresses_like_a_scan() -> None:
    voxels = PhantomSource("t1", (128, 128, 96), labels=4, seed=0).read()
    share = len(isal.igzip.compress(voxels.tobytes(order="F"))) / voxels.nbytes
    assert 0.45 < share < 0.62


def test_voxels_are_one_mm_wide_around_the_origin() -> None:
    subject = Phantom(SHAPE)
    assert subject.spatial_shape == SHAPE
    assert subject.spacing == (1.0, 1.0, 1.0)
    assert (subject.t1.affine @ [10, 11.5, 9, 1]).tolist() == [0, 0, 0, 1]


def test_nothing_is_computed_before_it_is_read_or_carried_along() -> None:
    subject = Phantom((512, 512, 512))
    assert not subject.t1.is_loaded
    assert len(pickle.dumps(subject)) < 4000


def test_memory_stays_within_the_volume_and_a_slab() -> None:
    source = PhantomSource("t1", (128, 128, 128), labels=4, seed=0)
    tracemalloc.start()
    source.read()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2 * 128**3 + 16 * 2**20


@pytest.mark.parametrize("shape", [(3, 16, 16), (16, 16), (16, 16, 16.5), "abc", 16])
def test_a_shape_that_is_none_is_refused(shape: object) -> None:
    with pytest.raises(GeometryError, match="three integers of at least 4, got"):
        Phantom(shape)  # type: ignore[arg-type]


@pytest.mark.parametrize("labels", [0, -1, 65, 2.5, "four"])
def test_a_number_of_labels_out_of_range_is_refused(labels: object) -> None:
    with pytest.raises(ValueError, match="a phantom has 1 to 64 labels, got"):
        Phantom(SHAPE, labels=labels)  # type: ignore[arg-type]


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="'t1' and 'seg', got 't2'"):
        PhantomSource("t2", SHAPE, labels=1, seed=0)


def test_a_box_that_overhangs_is_refused() -> None:
    with pytest.raises(GeometryError, match=r"does not lie inside it"):
        PhantomSource("seg", SHAPE, labels=1, seed=0).read(Box((0, 0, 0), (22, 1, 1)))
