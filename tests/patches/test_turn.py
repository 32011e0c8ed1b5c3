import itertools
from typing import Any

import numpy as np
import pytest

from voxloom.patches import _turn
from voxloom.patches._turn import c_order_pieces, give_memory, kept_memory


@pytest.mark.parametrize("slab_bytes", [1, 250, 1 << 20])
@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_pieces_are_the_volume_in_c_order_however_it_lies(
    order: tuple[int, ...], slab_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_turn, "_SLAB_BYTES", slab_bytes)
    monkeypatch.setattr(_turn, "_LEAST_PLANES", 2)
    plain = np.arange(2 * 7 * 6 * 5, dtype=np.int16).reshape(2, 7, 6, 5)
    stored: Any = plain.transpose(order).copy().transpose(np.argsort(order))
    pieces = [bytes(piece) for piece in c_order_pieces(stored)]
    assert b"".join(pieces) == plain.tobytes()
    assert (len(pieces) > 2) == (slab_bytes < 1 << 20 and order != (0, 1, 2, 3))


def test_memory_is_the_same_until_it_is_given_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_turn, "_MOST_KEPT_BYTES", 100)
    first = kept_memory("test", 80)
    assert np.shares_memory(first, kept_memory("test", 40))
    assert not np.shares_memory(first, kept_memory("another test", 40))
    assert not np.shares_memory(kept_memory("test", 101), kept_memory("test", 101))  # too long
    give_memory("test")
    assert not np.shares_memory(first, kept_memory("test", 80))
