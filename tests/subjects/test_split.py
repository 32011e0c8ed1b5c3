"""Parts of a data set."""

from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voxloom import ScalarImage, Subject, SubjectsDataset
from voxloom._errors import SplitError
from voxloom.subjects._split import split_indices

PEOPLE = st.lists(
    st.fixed_dictionaries({"site": st.sampled_from("ABC"), "family": st.integers(0, 6)}),
    min_size=14,
    max_size=60,
).map(lambda rows: [{"subject_id": f"s{n}", **row} for n, row in enumerate(rows)])

PROMISED = [[3, 6, 7, 8, 9], [0, 1, 2, 4, 5]]


def ids(people: list[dict[str, Any]], parts: list[list[int]]) -> list[set[str]]:
    return [{people[number]["subject_id"] for number in part} for part in parts]


@settings(deadline=None, max_examples=40)
@given(people=PEOPLE, seed=st.integers(0, 99), rng=st.randoms(use_true_random=False))
def test_parts_do_not_depend_on_the_order_of_the_table(
    people: list[dict[str, Any]], seed: int, rng: Any
) -> None:
    shuffled = rng.sample(people, len(people))
    arguments: dict[str, Any] = {"shares": [1, 1, 1], "seed": seed, "stratify": "site"}
    assert ids(people, split_indices(people, **arguments)) == ids(
        shuffled, split_indices(shuffled, **arguments)
    )


@settings(deadline=None, max_examples=40)
@given(people=PEOPLE, count=st.integers(2, 7))
def test_everyone_is_in_one_part_and_parts_are_equal_in_size_and_in_each_stratum(
    people: list[dict[str, Any]], count: int
) -> None:
    parts = split_indices(people, [1] * count, stratify="site")
    assert sorted(number for part in parts for number in part) == list(range(len(people)))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1
    for site in "ABC":
        sizes = [sum(people[number]["site"] == site for number in part) for part in parts]
        assert max(sizes) - min(sizes) <= 1


@settings(deadline=None, max_examples=60)
@given(
    sites=st.lists(st.integers(1, 4), min_size=20, max_size=40),
    shares=st.lists(st.integers(1, 3), min_size=2, max_size=3),
)
def test_small_strata_are_not_all_rounded_the_same_way(sites: list[int], shares: list[int]) -> None:
    people = [{"subject_id": f"{site}-{n}", "site": site}
              for site, size in enumerate(sites) for n in range(size)]  # fmt: skip
    parts = split_indices(people, shares, stratify="site")
    for part, share in zip(parts, shares, strict=True):
        quota = share / sum(shares)
        assert abs(len(part) - quota * len(people)) < 2
        for site, size in enumerate(sites):
            assert abs(sum(people[n]["site"] == site for n in part) - quota * size) < 1


@pytest.mark.parametrize("group", [None, "site"])
def test_a_stratum_for_every_few_subjects_still_fills_all_parts(group: str | None) -> None:
    people = [{"subject_id": n, "site": n // 2} for n in range(50)]
    for shares, sizes in (([0.8, 0.2], [40, 10]), ([0.7, 0.1, 0.2], [35, 5, 10])):
        parts = split_indices(people, shares, stratify="site", group=group)
        assert all(abs(len(part) - n) <= 1 for part, n in zip(parts, sizes, strict=True))


@settings(deadline=None, max_examples=40)
@given(people=PEOPLE)
def test_groups_stay_together(people: list[dict[str, Any]]) -> None:
    families = Counter(person["family"] for person in people)
    if len(families) < 2:
        return
    parts = split_indices(people, [1, 1], group="family")
    found = [{people[number]["family"] for number in part} for part in parts]
    assert not found[0] & found[1]
    sizes = [len(part) for part in parts]
    assert abs(sizes[0] - sizes[1]) <= max(families.values())


@settings(deadline=None, max_examples=40)
@given(size=st.integers(10, 200))
def test_shares_are_met_to_one_subject(size: int) -> None:
    people = [{"subject_id": number} for number in range(size)]
    sizes = [len(part) for part in split_indices(people, [0.7, 0.1, 0.2])]
    assert all(
        abs(found - share * size) <= 1 for found, share in zip(sizes, [0.7, 0.1, 0.2], strict=True)
    )


def test_the_split_of_a_seed_is_a_promise() -> None:
    people = [{"subject_id": f"sub-{number:02d}"} for number in range(10)]
    assert split_indices(people, [0.5, 0.5], seed=7) == PROMISED
    assert split_indices(people, [0.5, 0.5], seed=8) != PROMISED


@pytest.fixture
def dataset() -> SubjectsDataset:
    image = ScalarImage(tensor=np.zeros((1, 2, 2, 2), dtype=np.float32))
    subjects = [Subject(t1=image, subject_id=n, sex="fm"[n % 2]) for n in range(10)]
    return SubjectsDataset(subjects, transform=lambda subject: subject.replace(seen=True))


def test_parts_of_a_data_set_keep_its_order_and_its_transform(dataset: SubjectsDataset) -> None:
    train, test = dataset.split([4, 1], stratify="sex")
    for part in (train, test):
        found = [subject.subject_id for subject in part]
        assert found == sorted(found)
        assert part[0].seen
    assert sorted(subject.sex for subject in test) == ["f", "m"]


def test_folds_validate_on_everyone_once(dataset: SubjectsDataset) -> None:
    folds = dataset.folds(3, seed=1)
    seen = [subject.subject_id for _, validation in folds for subject in validation.dry_iter()]
    assert sorted(seen) == list(range(10))
    for train, validation in folds:
        both = [*train.dry_iter(), *validation.dry_iter()]
        assert sorted(subject.subject_id for subject in both) == list(range(10))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"shares": [1]}, r"two parts or more.*got \[1\]"),
        ({"shares": [1, 0]}, r"each with a positive share"),
        ({"shares": [1] * 11}, r"10 subjects do not fill 11 parts"),
        ({"shares": [1, 1], "group": "family"}, r"to group by 'family', every subject has it"),
        ({"shares": [1, 1], "stratify": "age"}, r"to stratify by 'age', every subject has it"),
    ],
)
def test_a_split_that_cannot_be_is_refused(
    dataset: SubjectsDataset, arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(SplitError, match=message):
        dataset.split(**arguments)


def test_one_person_cannot_be_in_two_parts() -> None:
    people = [{"subject_id": "a", "visit": n} for n in range(4)]
    with pytest.raises(SplitError, match=r"'a' is there 4 times; ids must be unique"):
        split_indices(people, [1, 1])
    with pytest.raises(SplitError, match=r"to split by subject 'subject_id', every subject has it"):
        split_indices([{"age": 3}], [1, 1])
