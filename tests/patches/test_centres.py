import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare

from voxloom.geometry import Box
from voxloom.io import Array
from voxloom.patches._block_index import index_masses
from voxloom.patches._centres import CentreTable, centre_table
from voxloom.patches._mass import Foreground, Mass, Weights


def table_of(array: Array, mass: Mass, valid: Box) -> CentreTable | None:
    (index,) = index_masses(array, [mass])
    return centre_table(array, index, valid)


def draw(table: CentreTable, seed: int) -> tuple[int, int, int]:
    return table.draw(np.random.default_rng(seed))


@given(data=st.data(), seed=st.integers(0, 2**32 - 1))
def test_what_is_drawn_has_mass_and_is_valid(data: st.DataObject, seed: int) -> None:
    shape = data.draw(st.tuples(*[st.integers(1, 30)] * 3))
    ini = data.draw(st.tuples(*[st.integers(0, n - 1) for n in shape]))
    fin = data.draw(st.tuples(*[st.integers(a + 1, n) for a, n in zip(ini, shape, strict=True)]))
    share = data.draw(st.sampled_from([0.001, 0.1, 1.0]))
    rng = np.random.default_rng(seed)
    weights = rng.random((1, *shape)) * (rng.random((1, *shape)) < share)
    valid = Box(ini, fin)
    table = table_of(weights, Weights(), valid)
    assert (table is None) == (not weights[(slice(None), *valid.slices)].any())
    if table is not None:
        place = draw(table, seed)
        assert weights[(0, *place)] > 0
        assert all(a <= n < b for a, n, b in zip(ini, place, fin, strict=True))


@pytest.mark.parametrize("mass", [Weights(), Foreground()])
def test_draws_are_the_same_however_the_map_is_stored(mass: Mass) -> None:
    plain = np.random.default_rng(0).integers(0, 3, (2, 30, 20, 40))
    valid = Box((3, 3, 3), (27, 17, 37))
    tables = [table_of(np.asarray(plain, order=order), mass, valid) for order in ("C", "F")]
    assert tables[0] is not None
    assert tables[1] is not None
    first, second = ([draw(table, n) for n in range(50)] for table in tables)
    assert first == second


def test_weight_in_the_cut_part_of_blocks_is_indexed_anew() -> None:
    weights = np.zeros((1, 40, 40, 40))
    weights[0, 0:3] = 1000
    weights[0, 3, 20, 20] = 1
    table = table_of(weights, Weights(), Box((3, 3, 3), (37, 37, 37)))
    assert table is not None
    assert {draw(table, n) for n in range(20)} == {(3, 20, 20)}


def test_voxels_at_every_face_of_the_box_are_drawn_and_none_beyond() -> None:
    # most of each block lies inside, so that draws which fall outside are drawn again
    valid = Box((1, 2, 1), (87, 86, 85))
    table = table_of(np.ones((1, 88, 88, 88), dtype=np.uint8), Foreground(), valid)
    assert table is not None
    assert table.part == Box((0, 0, 0), (88, 88, 88))
    rng = np.random.default_rng(0)
    places = np.array([table.draw(rng) for _ in range(4000)])
    assert places.min(axis=0).tolist() == list(valid.index_ini)
    assert places.max(axis=0).tolist() == [n - 1 for n in valid.index_fin]
    for axis, (ini, fin) in enumerate(zip(valid.index_ini, valid.index_fin, strict=True)):
        drawn = np.bincount(places[:, axis])[ini:fin]
        assert chisquare(drawn).pvalue > 1e-3


def test_words_that_always_miss_still_give_an_exact_draw() -> None:
    weights = np.ones((1, 20, 20, 20))
    table = table_of(weights, Weights(), Box((1, 1, 1), (20, 20, 20)))
    assert table is not None

    class Zeros:
        bit_generator = type("Raw", (), {"random_raw": staticmethod(lambda: 0)})

    assert table.draw(Zeros()) == (1, 1, 1)  # type: ignore[arg-type]


def test_weights_that_would_overflow_are_drawn_in_proportion() -> None:
    weights = np.zeros((1, 9, 9, 9))
    weights[0, 4, 4, 4:6] = np.finfo(np.float64).max
    table = table_of(weights, Weights(), Box((1, 1, 1), (8, 8, 8)))
    assert table is not None
    seen = [draw(table, n) for n in range(200)]
    assert set(seen) == {(4, 4, 4), (4, 4, 5)}
    assert 60 < seen.count((4, 4, 4)) < 140


def test_the_smallest_weights_are_drawn_in_proportion() -> None:
    weights = np.zeros((1, 9, 9, 9))
    weights[0, 2, 2, 2], weights[0, 6, 6, 6] = 5e-324, 1e-323
    table = table_of(weights, Weights(), Box((1, 1, 1), (8, 8, 8)))
    assert table is not None
    seen = [draw(table, n) for n in range(600)]
    assert set(seen) == {(2, 2, 2), (6, 6, 6)}
    assert 150 < seen.count((2, 2, 2)) < 250


def test_all_slices_of_a_large_uniform_map_are_drawn() -> None:
    shape = (512, 512, 400)
    weights = np.broadcast_to(np.float32(1), (1, *shape))
    table = table_of(weights, Weights(), Box((0, 0, 0), shape))
    assert table is not None
    rng = np.random.Generator(np.random.Philox(0))
    places = np.array([table.draw(rng) for _ in range(8000)])
    for axis, length in enumerate(shape):
        assert len(np.unique(places[:, axis])) == length
