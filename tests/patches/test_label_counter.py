from typing import Any

import numpy as np
import pytest

from voxloom.patches._block_index import index_masses
from voxloom.patches._label_counter import LabelCounter
from voxloom.patches._mass import Foreground, LabelVoxels, Mass

MANY = range(-3, 40)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16, np.int32, np.int64])
@pytest.mark.parametrize("order", ["C", "F"])
def test_labels_counted_together_and_one_by_one_agree(dtype: Any, order: Any) -> None:
    rng = np.random.default_rng(0)
    array = rng.integers(-5, 60, (1, 17, 21, 40)).astype(dtype, order=order)
    masses: list[Mass] = [Foreground(), *map(LabelVoxels, MANY)]
    assert LabelCounter.pays(MANY, array.dtype)
    for mass, index in zip(masses, index_masses(array, masses), strict=True):
        (alone,) = index_masses(array, [mass])
        assert index.mass == mass
        assert np.array_equal(index.sums, alone.sums)


@pytest.mark.parametrize(
    ("labels", "dtype"),
    [(range(5), "u1"), (MANY, "f4"), (MANY, "u8"), ([*range(50), 2**40], "i8")],
)
def test_few_labels_floats_and_wide_ranges_are_compared_one_by_one(labels: Any, dtype: str) -> None:
    assert not LabelCounter.pays(labels, np.dtype(dtype))
    array = np.arange(48, dtype=dtype).reshape(1, 4, 3, 4)
    for index in index_masses(array, [LabelVoxels(n) for n in labels]):
        assert index.total == np.count_nonzero(array == index.mass.label)  # type: ignore[attr-defined]
