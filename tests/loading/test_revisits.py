import pickle

import numpy as np
import pytest

from voxloom.loading._epochs import Epochs
from voxloom.loading._plan import PlanOptions, Share
from voxloom.loading._revisits import Revisits, _PlanOf

OPTIONS = PlanOptions(seed=3, max_length=12)


def epochs(visits: object = None) -> Epochs:
    return Epochs([2, 3, 1, 4, 2], OPTIONS, Share(), visits)  # type: ignore[arg-type]


def opened(made: Epochs, last: int) -> list[tuple[int, int, int]]:
    """Return epoch, place of the first patch and subject of every visit, in order."""
    visits = []
    for epoch in range(last):
        plan = made.plan(epoch)
        firsts = np.unique(plan.residencies, return_index=True)[1]
        visits += [(epoch, int(place), int(plan.subjects[place])) for place in firsts]
    return visits


@pytest.mark.parametrize("is_drawn", [False, True])
def test_it_counts_the_visits_until_a_subject_is_opened_again(is_drawn: bool) -> None:
    made = epochs(None if not is_drawn else lambda epoch: np.array([0, 1, 1, 3, epoch % 5]))
    revisits, walk = Revisits(made.plan, world=1), opened(made, 4)
    checked = 0
    for number, (epoch, place, subject) in enumerate(walk):
        later = [n for n, visit in enumerate(walk) if n > number and visit[2] == subject]
        if epoch < 2 and later and walk[later[0]][0] <= epoch + 1:
            assert revisits.after(epoch, place) == later[0] - number
            checked += 1
    assert checked >= 6


def test_ranks_open_subjects_side_by_side() -> None:
    one, four = (Revisits(epochs().plan, world) for world in (1, 4))
    assert four.after(0, 0) == 4 * one.after(0, 0)


def test_it_can_be_sent_to_workers() -> None:
    revisits = Revisits(_PlanOf(epochs()), 1)
    sent = pickle.loads(pickle.dumps(revisits))
    assert [sent.after(1, place) for place in range(12)] == [
        revisits.after(1, place) for place in range(12)
    ]
