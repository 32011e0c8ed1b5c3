import os
import random
import subprocess
import sys
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from voxloom._errors import PreparedError
from voxloom.prepared._transform_key import transform_key
from voxloom.subjects import Subject
from voxloom.transforms import chain


class Scale:
    def __init__(self, factor: float) -> None:
        self.factor = factor

    def __call__(self, subject: Subject) -> Subject:
        return subject

    def apply(self, subject: Subject) -> Subject:
        return subject


def one(subject: Subject) -> Subject:
    return subject


def scaling(factor: float) -> Callable[[Subject], Subject]:
    def scale(subject: Subject) -> Subject:
        return subject.replace(factor=factor)

    return scale


def calling_itself(depth: int) -> Callable[[Subject], Subject]:
    def again(subject: Subject) -> Subject:
        return again(subject) if subject.age > depth else subject

    return again


def table(last: float) -> np.ndarray[Any, Any]:
    values = np.zeros(5000)
    values[2500] = last
    return values


def other(subject: Subject) -> Subject:
    return subject.replace(seen=True)


def test_transforms_are_known_by_what_they_are_and_hold() -> None:
    def transforms() -> list[Any]:
        several = [one, other, Scale(1), Scale(2), scaling(1), scaling(2), Scale(1).apply]
        several += [Scale(2).apply, partial(one, table(1)), partial(one, table(2))]
        several += [partial(one, Scale(1)), partial(one, Scale(2)), calling_itself(1)]
        return [None, *several, *(chain(one, each) for each in several)]

    keys = [transform_key(transform) for transform in transforms()]
    assert len(set(keys)) == len(keys)
    assert [transform_key(transform) for transform in transforms()] == keys


def test_a_changed_source_of_a_function_within_a_transform_is_another_transform(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = """
from functools import partial
from voxloom.prepared._transform_key import transform_key
from voxloom.transforms import chain
import steps
print(transform_key(chain(steps.mine, partial(steps.other, names={"t1", "t2", "seg"}))))
"""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([*sys.path, str(tmp_path)]))
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    keys = []
    for factor in (1, 2, 1):
        (tmp_path / "steps.py").write_text(
            f"def mine(subject):\n    return {factor} * subject\n\n"
            "def other(subject, names):\n    return subject\n"
        )
        ran = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
        keys.append(ran.stdout)
    assert keys[0] != keys[1]
    assert keys[0] == keys[2]  # in another process, where sets have another order


def test_functions_whose_source_is_nowhere_are_known_by_their_code() -> None:
    keys = []
    for factor in (1, 2, 1):
        names: dict[str, Any] = {}
        exec(f"def mine(subject): return [subject * {factor} for _ in range(2)]", names)
        keys.append(transform_key(names["mine"]))
    assert keys[0] == keys[2] != keys[1]


def test_what_was_made_from_a_string_is_not_known_by_lines_of_another_source() -> None:
    code = """
from voxloom.prepared._transform_key import transform_key
for factor in (1, 2, 1):
    exec(f"def mine(subject): return [subject * {factor}]")
    print(transform_key(mine))
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    first, other, again = ran.stdout.splitlines()
    assert first == again != other
    keys = []
    for factor in (1, 2, 1):
        names = {"__name__": __name__}
        exec(f"class Mine:\n    def __call__(self, subject): return subject * {factor}", names)
        keys.append(transform_key(names["Mine"]))
    assert keys[0] == keys[2] != keys[1]


@pytest.mark.parametrize("changed", ["FACTOR", "TABLE", "helper", "Step"])
def test_what_a_transform_uses_of_its_module_counts(changed: str, tmp_path: Path) -> None:
    code = """
import math
FACTOR, TABLE, UNUSED, calls = {FACTOR}, [{TABLE}, {{"a": (1, 2)}}], {UNUSED}, {UNUSED}
def helper(subject):
    global calls
    calls += 1
    return [subject * math.pi * FACTOR * {helper} for _ in TABLE]
class Step:
    def __call__(self, subject):
        return helper(subject) * {Step}
def mine(subject):
    return Step()(subject)
"""
    first = {"FACTOR": 1, "TABLE": 1, "helper": 1, "Step": 1, "UNUSED": 1}
    keys = []
    for number, parts in enumerate([first, {**first, "UNUSED": 2}, {**first, changed: 2}]):
        file = tmp_path / f"steps{number}.py"
        file.write_text(code.format(**parts))
        names: dict[str, Any] = {"__name__": "steps"}
        exec(compile(file.read_text(), file, "exec"), names)
        keys.append((transform_key(names["mine"]), transform_key(partial(names["mine"]))))
    assert keys[0] == keys[1]
    assert keys[0][0] != keys[2][0]
    assert keys[0][1] != keys[2][1]


@pytest.mark.parametrize("make", [np.random.RandomState, np.random.default_rng, random.Random])
def test_generators_that_a_library_begins_anew_in_each_process_make_no_other_transform(
    make: Callable[[], Any],
) -> None:
    assert transform_key(Scale(make())) == transform_key(Scale(make()))  # type: ignore[arg-type]


def test_state_that_cannot_be_told_is_refused() -> None:
    with pytest.raises(PreparedError, match="cannot be pickled"):
        transform_key(Scale(threading.Lock()))  # type: ignore[arg-type]
