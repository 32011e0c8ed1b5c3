"""Random words addressed by name, never by call order.

Every draw belongs to a place in training: a key, hashed from the seed, a domain and a
subject, and a counter ``(patch, epoch, operation)``. Philox (Salmon et al. 2011) turns the
two into 64-bit words, whatever was drawn before and in whichever process. Integers come
from the words by our own mapping, so they are the same with every NumPy.
"""

from __future__ import annotations

import hashlib
from typing import Final

import numpy as np
import numpy.typing as npt

Words = npt.NDArray[np.uint64]

_EMPTY: Final = np.zeros(4, dtype=np.uint64)
_HIGH, _LOW = np.uint64(32), np.uint64(0xFFFFFFFF)


class Stream:
    """All random words of one key.

    Parameters
    ----------
    seed : int
        Seed of the whole run, any integer.
    domain : str
        What the words are for, e.g. ``"place"``. Streams of two domains are independent.
    name : str or int
        Whose words they are, e.g. the subject's id.

    Examples
    --------
    >>> stream = Stream(42, "place", 7)
    >>> bool((stream.words(3, epoch=1) == Stream(42, "place", 7).words(3, epoch=1)).all())
    True
    >>> bool((stream.words(3, epoch=1) == stream.words(3, epoch=2)).any())
    False
    """

    __slots__ = ("_key", "_philox")

    def __init__(self, seed: int, domain: str, name: str | int = "") -> None:
        text = f"{int(seed)}\x1f{domain}\x1f{type(name).__name__}\x1f{name}"
        digest = hashlib.blake2b(text.encode(), digest_size=16).digest()
        self._key = np.frombuffer(digest, dtype="<u8").astype(np.uint64)
        self._philox = np.random.Philox(key=self._key)

    def at(self, patch: int, *, epoch: int = 0, operation: int = 0) -> np.random.Generator:
        """Return the generator that belongs to one place in training.

        The generator is only valid until the next call, in any thread: the stream keeps one.
        """
        self._philox.state = {
            "bit_generator": "Philox",
            "state": {
                "counter": np.array([0, patch, epoch, operation], dtype=np.uint64),
                "key": self._key,
            },
            "buffer": _EMPTY,
            "buffer_pos": 4,
            "has_uint32": 0,
            "uinteger": 0,
        }
        return np.random.Generator(self._philox)

    def words(self, count: int, *, patch: int = 0, epoch: int = 0, operation: int = 0) -> Words:
        """Return `count` words that belong to one place in training, uint64.

        Several threads may ask the same stream, which the one generator of `at` does not allow.
        """
        counter = np.array([0, patch, epoch, operation], dtype=np.uint64)
        return np.random.Philox(key=self._key, counter=counter).random_raw(count)


def draw_word(rng: np.random.Generator) -> int:
    """Return the generator's next raw 64-bit word."""
    return int(rng.bit_generator.random_raw())


def bounded(word: int, count: int) -> int:
    """Map a 64-bit word onto ``0 <= n < count``; the bias is below ``count / 2**64``.

    Examples
    --------
    >>> bounded(0, 10), bounded(2**63, 10), bounded(2**64 - 1, 10)
    (0, 5, 9)
    """
    return (word * count) >> 64


def bounded_array(words: Words, count: int) -> npt.NDArray[np.int64]:
    """Map 64-bit words onto ``0 <= n < count`` for counts below 2**32.

    Examples
    --------
    >>> bounded_array(np.array([0, 2**63, 2**64 - 1], dtype=np.uint64), 10)
    array([0, 5, 9])
    """
    size = np.uint64(count)
    carry = ((words & _LOW) * size) >> _HIGH
    return (((words >> _HIGH) * size + carry) >> _HIGH).astype(np.int64)


def permutation(words: Words) -> npt.NDArray[np.int64]:
    """Return the order of ``len(words)`` things that these words give: they are sorted by word.

    Examples
    --------
    >>> permutation(np.array([5, 1, 3], dtype=np.uint64))
    array([1, 2, 0])
    """
    return np.argsort(words, kind="stable").astype(np.int64)
