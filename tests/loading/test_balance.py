import itertools
import json
import logging
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import chisquare

from voxloom import LabelSampler, Queue, UniformSampler, prepare
from voxloom._errors import EmptyProbabilityMapError, ProbabilityError, SamplerError, StateError
from voxloom.io import write_nifti
from voxloom.subjects import LabelMap, ScalarImage, Subject, SubjectsDataset

# Which labels each subject has: label 3 is in one of eight, label 2 in two.
HELD = [(1,), (1,), (1, 2), (1,), (1, 2, 3), (1,), (), (1,)]
SHARES = {1: 2.0, 2: 1.0, 3: 1.0}


def make_subjects(held: list[tuple[int, ...]] = HELD) -> list[Subject]:
    subjects = []
    for number, labels in enumerate(held):
        seg = np.zeros((1, 12, 12, 12), np.uint8)
        for label in labels:
            seg[0, 3 * label - 1 : 3 * label + 1, 4:8, 4:8] = label
        seg[0, 0, 0, 0] = 3  # where no patch has its centre
        t1 = np.full(seg.shape, number, np.int16)
        subjects.append(Subject(t1=ScalarImage(tensor=t1), seg=LabelMap(tensor=seg), number=number))
    return subjects


def make_queue(dataset: SubjectsDataset, **options: Any) -> Queue:
    sampler = LabelSampler(3, "seg", SHARES, balance="dataset")
    options = {"seed": 1, "schedule": "spread", **options}
    return Queue(dataset, 24, options.pop("samples", 4), sampler, **options)


def drawn(queue: Queue, epochs: int) -> list[tuple[int, int, tuple[int, ...]]]:
    """Return subject, label of the centre and place of each patch."""
    return [
        (patch["number"], int(patch["seg"].array[0, 1, 1, 1]), tuple(patch["index_ini"].tolist()))
        for _ in range(epochs)
        for patch in queue
    ]


def test_a_label_is_as_frequent_as_asked_however_few_subjects_have_it() -> None:
    with make_queue(SubjectsDataset(make_subjects()), samples=1) as queue:
        seen = Counter(label for _, label, _ in drawn(queue, 250))
    assert sum(seen.values()) == 2000
    assert chisquare([seen[1], seen[2], seen[3]], [1000, 500, 500]).pvalue > 0.01


def test_all_subjects_that_have_a_label_are_equally_likely_for_it() -> None:
    with make_queue(SubjectsDataset(make_subjects()), samples=1) as queue:
        seen = Counter((label, number) for number, label, _ in drawn(queue, 250))
    for label in (1, 2):
        holders = [n for n, labels in enumerate(HELD) if label in labels]
        counts = [seen[label, number] for number in holders]
        assert sum(counts) == sum(n for (found, _), n in seen.items() if found == label)
        assert chisquare(counts).pvalue > 0.01
    assert {number for label, number in seen if label == 3} == {4}
    assert not [number for _, number in seen if number == 6]  # has only a voxel at the border


def test_subjects_with_more_patches_a_visit_are_visited_less() -> None:
    subjects = [s.replace(num_samples=1 + 3 * (s.number % 2)) for s in make_subjects()]
    with make_queue(SubjectsDataset(subjects)) as queue:
        seen = Counter(label for _, label, _ in drawn(queue, 150))
    total = sum(seen.values())
    # patches of a visit are of one subject, so counts vary more than those of a chi-square test
    np.testing.assert_allclose([seen[n] / total for n in (1, 2, 3)], [0.5, 0.25, 0.25], atol=0.04)


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_do_not_change_what_is_drawn(workers: int) -> None:
    dataset = SubjectsDataset(make_subjects())
    with make_queue(dataset) as none, make_queue(dataset, num_workers=workers) as some:
        assert drawn(some, 3) == drawn(none, 3)


def test_a_store_and_a_cache_give_the_same_patches(tmp_path: Path) -> None:
    from voxloom.io import write_nifti

    subjects = [
        s.replace(seg=LabelMap(write_nifti(f"{tmp_path}/{s.number}.nii.gz", s.seg.array)))
        for s in make_subjects()
    ]
    with make_queue(SubjectsDataset(make_subjects())) as queue:
        expected = drawn(queue, 2)
    cached = SubjectsDataset(subjects, cache=tmp_path / "cache", cache_limit=4000)
    for dataset in (prepare(SubjectsDataset(subjects), tmp_path / "store"), cached, cached):
        with make_queue(dataset) as queue:
            assert drawn(queue, 2) == expected


@pytest.mark.parametrize("place", [1, 31, 32, 45])
def test_it_goes_on_from_any_patch(place: int) -> None:
    dataset = SubjectsDataset(make_subjects())
    with make_queue(dataset) as queue:
        stream = itertools.chain.from_iterable(iter(queue) for _ in range(3))
        patches = [(p["number"], p["index_ini"].tolist()) for p in itertools.islice(stream, 80)]
    with make_queue(dataset) as queue:
        stream = itertools.chain.from_iterable(iter(queue) for _ in range(3))
        _ = list(itertools.islice(stream, place))
        state = json.loads(json.dumps(queue.state_dict()))
    with make_queue(dataset) as queue:
        queue.load_state_dict(state)
        stream = itertools.chain.from_iterable(iter(queue) for _ in range(3))
        rest = [(p["number"], p["index_ini"].tolist()) for p in itertools.islice(stream, 30)]
    assert rest == patches[place : place + 30]


def test_a_state_of_other_labels_is_refused() -> None:
    with make_queue(SubjectsDataset(make_subjects())) as queue:
        state = queue.state_dict()
    other = make_queue(SubjectsDataset(make_subjects([*HELD[:6], (2,), (1,)])))
    with other, pytest.raises(StateError, match="fingerprint"):
        other.load_state_dict(state)


def test_two_ranks_share_the_epoch() -> None:
    dataset = SubjectsDataset(make_subjects())
    with make_queue(dataset, lanes=2, rank=0, world=1) as queue:
        whole = [(number, place) for number, _, place in drawn(queue, 1)]
    parts = []
    for rank in (0, 1):
        with make_queue(dataset, rank=rank, world=2) as queue:
            parts.append([(number, place) for number, _, place in drawn(queue, 1)])
    assert [*itertools.chain.from_iterable(zip(*parts, strict=True))] == whole


def test_a_label_that_no_subject_has_is_told_and_its_share_goes_to_others(
    caplog: pytest.LogCaptureFixture,
) -> None:
    sampler = LabelSampler(3, "seg", {1: 1, 9: 1}, balance="dataset")
    with caplog.at_level(logging.INFO, "voxloom"):
        queue = Queue(SubjectsDataset(make_subjects()), 8, 2, sampler, seed=0)
        assert {label for _, label, _ in drawn(queue, 1)} == {1}
    assert "looking for labels in the label maps of 8 subjects, once" in caplog.text
    assert "no subject has label 9, its share goes to the others" in caplog.text
    with pytest.raises(EmptyProbabilityMapError, match="none of the 8 subjects has any of the"):
        Queue(
            SubjectsDataset(make_subjects()),
            8,
            2,
            LabelSampler(3, "seg", {9: 1}, balance="dataset"),
        )


def test_one_subject_is_a_data_set_of_one() -> None:
    subject = make_subjects()[4]
    over, within = (LabelSampler(3, "seg", SHARES, balance=b) for b in ("dataset", "subject"))
    assert [p["index_ini"].tolist() for p in over(subject, 20, rng=3)] == [
        p["index_ini"].tolist() for p in within(subject, 20, rng=3)
    ]


def test_what_cannot_be_balanced_is_an_error() -> None:
    with pytest.raises(SamplerError, match="balance is 'subject' or 'dataset', got 'batch'"):
        LabelSampler(3, "seg", SHARES, balance="batch")
    with pytest.raises(ProbabilityError, match="so it needs label_probabilities"):
        LabelSampler(3, "seg", balance="dataset")
    with pytest.raises(ValueError, match="balance='dataset' decide which subjects come"):
        make_queue(
            SubjectsDataset(make_subjects()), shuffle_subjects=False, subject_weights=[1.0] * 8
        )
    with Queue(SubjectsDataset(make_subjects()), 8, 2, UniformSampler(3), seed=0) as queue:
        assert queue.plan(0).subjects.tolist().count(6) == 2


def test_the_look_at_the_label_maps_keeps_none_of_them_and_moves_none(tmp_path: Path) -> None:
    """What is looked at in the trainer's process must not be other than what a worker gets."""
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    affine[:3, 3] = 5, 6, 7
    subjects = []
    for subject in make_subjects():
        number = subject.number
        paths = [
            write_nifti(f"{tmp_path}/{number}_{name}.nii.gz", subject[name].array, affine)
            for name in ("t1", "seg")
        ]
        subjects.append(Subject(t1=ScalarImage(paths[0]), seg=LabelMap(paths[1]), number=number))
    with make_queue(SubjectsDataset(subjects, lambda subject: subject)) as queue:
        assert not any(subject.seg.is_loaded for subject in subjects)
        patch = next(iter(queue))
    assert (patch.seg.affine == patch.t1.affine).all()
