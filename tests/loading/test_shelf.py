"""A shelf keeps what costs little, up to its bounds, and one decoded volume."""

from __future__ import annotations

import pytest
from changing import make_subjects

from voxloom.io import ArraySource
from voxloom.loading import _shelf
from voxloom.loading._memory_cache import StoredVolume, StoredVolumes
from voxloom.loading._shelf import Shelf
from voxloom.loading._slots import Layout
from voxloom.loading._work import Opened


def opened(
    *, is_lasting: bool, side: int = 10, is_cached: bool = False, stored: StoredVolumes = ()
) -> Opened:
    shape = side, side, side
    subject = make_subjects(1)[0]
    layout = Layout((), 0)
    return Opened(
        subject,
        layout,
        lambda patch, epoch: (0, 0, 0),
        shape,
        is_lasting=is_lasting,
        is_cached=is_cached,
        stored=stored,
    )


def kept(shelf: Shelf, subjects: range, epoch: int = 0) -> list[int]:
    return [subject for subject in subjects if shelf.take(subject, epoch) is not None]


def test_a_lasting_subject_is_kept_over_epochs() -> None:
    shelf, one = Shelf(), opened(is_lasting=True)
    shelf.put(4, 0, one)
    assert shelf.take(4, epoch=9) is one


def test_what_was_decoded_is_kept_for_its_epoch_until_the_next_is_asked_for() -> None:
    shelf, one = Shelf(), opened(is_lasting=False)
    shelf.put(4, 0, one)
    assert shelf.take(4, epoch=0) is one
    assert shelf.take(4, epoch=1) is None
    assert shelf.take(4, epoch=0) is None


def test_what_a_cache_gave_is_kept_but_looked_at_again_at_each_visit() -> None:
    shelf, one = Shelf(), opened(is_lasting=True, is_cached=True)
    shelf.put(4, 0, one)
    assert shelf.take(4, epoch=0) is one  # the same visit
    assert shelf.take(4, epoch=1) is None
    assert shelf.take(4, epoch=0) is None
    assert shelf.kept(4) is one


def test_what_stays_in_memory_is_looked_at_once_in_each_epoch() -> None:
    shelf = Shelf()
    volume = StoredVolume("t1", "as it was", 0, (1, 10, 10, 10), (0, 1, 2, 3), "<i2", False, ())
    for subject in range(2):
        shelf.put(subject, 0, opened(is_lasting=True, is_cached=True, stored=(volume,)))
    for epoch in (0, 1):
        for subject in (0, 1, 0, 1):
            found = shelf.take(subject, epoch)
            assert found is (shelf.kept(subject) if epoch == 0 else None)
    again = shelf.kept(1)
    assert again is not None
    shelf.put(1, 1, again)
    assert kept(shelf, range(2), epoch=1) == [1]


def test_what_was_opened_anew_takes_the_place_of_what_was_kept() -> None:
    shelf = Shelf()
    first, second, decoded = (
        opened(is_lasting=lasting, is_cached=lasting) for lasting in (True, True, False)
    )
    for one, kept_then in ((first, first), (second, second), (decoded, None)):
        shelf.put(4, 0, one)
        assert shelf.kept(4) is kept_then
        assert shelf.take(4, epoch=0) is one


def test_pages_of_a_cache_are_let_go_of_between_visits(monkeypatch: pytest.MonkeyPatch) -> None:
    released: list[ArraySource] = []
    monkeypatch.setattr(ArraySource, "release", lambda source: released.append(source))
    shelf, one = Shelf(), opened(is_lasting=True, is_cached=True)
    shelf.put(4, 0, one)
    shelf.put(4, 0, one)
    assert released == []
    shelf.take(5, epoch=0)
    assert released == [image.source for image in one.subject.get_images(intensity_only=False)]


def test_the_least_recently_used_go_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_shelf, "MOST_SUBJECTS", 3)
    shelf = Shelf()
    for subject in range(3):
        shelf.put(subject, 0, opened(is_lasting=True))
    shelf.take(0, epoch=0)
    shelf.put(3, 0, opened(is_lasting=True))
    assert kept(shelf, range(4)) == [0, 2, 3]


def test_large_volumes_take_the_room_of_several(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_shelf, "MOST_VOXELS", 8 * 10**3)
    shelf = Shelf()
    for subject in range(5):
        shelf.put(subject, 0, opened(is_lasting=True, side=10))
    shelf.put(5, 0, opened(is_lasting=True, side=20))
    assert kept(shelf, range(6)) == [5]
    shelf.put(6, 0, opened(is_lasting=True, side=30))
    assert kept(shelf, range(7)) == [6]  # one is kept, however large it is
    shelf.put(7, 0, opened(is_lasting=True, side=10))
    assert kept(shelf, range(8)) == [7]
