import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxloom.geometry import Box
from voxloom.patches import _block_rows
from voxloom.patches._block_rows import BlockRows


def random_sums(seed: int, dtype: str = "uint16") -> np.ndarray:
    rng = np.random.default_rng(seed)
    shape = rng.integers(1, 9, 3)
    share = rng.choice([0.0, 0.05, 0.5, 1.0])
    return (rng.integers(1, 513, shape) * (rng.random(shape) < share)).astype(dtype)


def random_box(shape: tuple[int, ...], seed: int) -> Box:
    rng = np.random.default_rng(seed)
    ini = [int(rng.integers(n)) for n in shape]
    fin = [int(rng.integers(a + 1, n + 1)) for a, n in zip(ini, shape, strict=True)]
    return Box((ini[0], ini[1], ini[2]), (fin[0], fin[1], fin[2]))


def assert_says_what_a_dense_table_says(rows: BlockRows, sums: np.ndarray) -> None:
    np.testing.assert_array_equal(rows.dense(), sums)
    assert rows.total(np.int64) == sums.sum()
    ends = sums.astype(np.int64).cumsum().reshape(sums.shape)[:, :, -1].ravel()
    np.testing.assert_array_equal(rows.running(np.int64), ends)
    places = np.argwhere(sums)
    if not len(places):
        assert rows.occupied() is None
    else:
        ini, fin = places.min(axis=0).tolist(), (places.max(axis=0) + 1).tolist()
        assert rows.occupied() == Box(tuple(ini), tuple(fin))


@given(seed=st.integers(0, 2**32 - 1), piece=st.sampled_from([1, 7, 2**18]))
def test_rows_their_cuts_and_those_again_in_a_table_say_what_a_dense_table_says(
    seed: int, piece: int
) -> None:
    sums = random_sums(seed)
    rows, box = BlockRows.of(sums), random_box(sums.shape, seed)
    part = rows.cut(box)
    again = random_box(part.blocks, seed + 1)
    alone = np.zeros_like(sums)
    alone[box.slices] = sums[box.slices]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_block_rows, "_PIECE", piece)  # the seams between pieces too
        assert_says_what_a_dense_table_says(rows, sums)
        assert_says_what_a_dense_table_says(part, sums[box.slices])
        assert_says_what_a_dense_table_says(part.cut(again), sums[box.slices][again.slices])
        assert_says_what_a_dense_table_says(part.embed(box.index_ini, rows.blocks), alone)


@given(seed=st.integers(0, 2**32 - 1))
def test_slabs_joined_are_the_whole(seed: int) -> None:
    sums = random_sums(seed)
    cut = int(np.random.default_rng(seed).integers(sums.shape[0]))
    slabs = [sums[:cut], sums[cut:]] if cut else [sums]
    joined = BlockRows.joined([BlockRows.of(slab) for slab in slabs])
    np.testing.assert_array_equal(joined.dense(), sums)


@given(seed=st.integers(0, 2**32 - 1), piece=st.sampled_from([1, 7, 2**18]))
def test_running_sums_of_weights_are_rounded_as_those_of_a_dense_table(
    seed: int, piece: int
) -> None:
    sums = random_sums(seed, "float64") / 7
    rows, box = BlockRows.of(sums), random_box(sums.shape, seed)
    part = rows.cut(box)
    alone = np.zeros_like(sums)
    alone[box.slices] = sums[box.slices]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_block_rows, "_PIECE", piece)
        for some, dense in (
            (rows, sums),
            (part, sums[box.slices]),
            (part.embed(box.index_ini, rows.blocks), alone),
        ):
            expected = dense.ravel().cumsum().reshape(dense.shape)[:, :, -1].ravel()
            assert some.running(np.float64).tolist() == expected.tolist()
            assert some.total(np.float64) == pytest.approx(dense.sum(), rel=1e-12)


def test_a_mostly_empty_table_takes_what_it_holds() -> None:
    sums = np.zeros((100, 100, 400), np.uint16)
    sums[40:60, 40:60, 200:250] = 512
    rows = BlockRows.of(sums)
    assert rows.values.size == 20 * 20 * 50
    assert rows.nbytes < sums.nbytes / 20
    full = BlockRows.of(np.ones((100, 100, 400), np.uint16))
    assert full.nbytes < 1.1 * sums.nbytes


def test_rows_of_another_table_are_refused() -> None:
    rows = BlockRows.of(np.ones((2, 3, 4), np.uint16))
    for blocks, message in (((2, 2, 4), "4 rows of blocks were expected, there are 6"),
                            ((2, 3, 3), "24 blocks in rows of 3 were expected")):  # fmt: skip
        with pytest.raises(ValueError, match=re.escape(message)):
            BlockRows.packed(blocks, rows.lengths, rows.firsts, rows.values)
