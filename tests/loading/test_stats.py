import json
from dataclasses import FrozenInstanceError

import pytest

from voxloom.loading._meter import Meter
from voxloom.loading._plan import PlanOptions, plan_epoch
from voxloom.loading._stats import STAGES, QueueStats


def make_stats() -> QueueStats:
    meter = Meter()
    meter.note_wait(0, (0.0, 0.5), is_first=True)
    meter.note_batch(plan_epoch([4] * 4, 0, PlanOptions(seed=0, max_length=8)), [0, 1, 1, 2])
    return QueueStats("inline", 1, 8, 3, 4, meter.epochs(1, 8), meter.total(1, 8))


def test_all_of_it_is_json() -> None:
    read = json.loads(json.dumps(make_stats().as_dict()))
    assert read["total"]["patches"] == 4
    assert set(read["total"]["stages"]) == set(STAGES)
    assert read["epochs"][0]["epoch"] == 0


def test_names_work_as_keys() -> None:
    stats = make_stats()
    assert (stats["waited_s"], stats["seconds"], stats["ready"]) == (0.5, {"wait": 0.5}, 3)
    assert stats["total"]["patches"] == 4
    with pytest.raises(KeyError, match="nothing"):
        stats["nothing"]


def test_it_is_frozen() -> None:
    with pytest.raises(FrozenInstanceError, match="ready"):
        make_stats().ready = 4  # type: ignore[misc]


def test_it_prints_a_row_for_each_stage_and_what_matters() -> None:
    text = str(make_stats())
    assert all(f"\n{stage} " in text for stage in STAGES)
    assert "queue: 3 of 8 ready now" in text
    assert "subjects in a batch: 3.00 on average" in text
    assert repr(make_stats()).startswith("QueueStats(4 patches")
