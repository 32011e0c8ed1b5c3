import copy
import hashlib
import os
import random
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch

from voxloom import LabelMap, LabelSampler, Queue, ScalarImage, Subject, SubjectsDataset
from voxloom._errors import PatchError
from voxloom.patches import UniformSampler

SIZE = (3, 4, 5)
CHANGED_AFFINE = np.diag([3.0, 4.0, 1.4, 1.0])
AFFINE = np.diag([1.5, 2.0, 0.7, 1.0]) + np.pad(np.full((3, 1), 3.0), ((0, 1), (3, 0)))


pytestmark = pytest.mark.usefixtures("fork_server")


def make_queue(transform: Any, *, workers: int = 0, subjects: int = 4, **options: Any) -> Queue:
    options = {"start_method": "forkserver", **options}
    return Queue(
        SubjectsDataset(make_subjects(subjects)),
        max_length=6,
        samples_per_volume=3,
        sampler=options.pop("sampler", UniformSampler(SIZE)),
        num_workers=workers,
        seed=7,
        patch_transform=transform,
        **options,
    )


def make_subjects(count: int) -> list[Subject]:
    rng = np.random.default_rng(3)
    return [
        Subject(
            t1=ScalarImage(
                tensor=rng.integers(0, 900, (2, 9, 10, 11)).astype(np.int16), affine=AFFINE
            ),
            seg=LabelMap(tensor=np.ones((1, 9, 10, 11), dtype=np.uint8), affine=AFFINE),
            age=40 + number,
            name=f"s{number}",
            notes=[number],
        )
        for number in range(count)
    ]


def hash_of(value: Any) -> str:
    digest = hashlib.sha256()
    for part in parts_of(value):
        digest.update(part)
    return digest.hexdigest()


def parts_of(value: Any) -> Iterator[bytes]:
    if isinstance(value, torch.Tensor):
        yield f"{value.dtype}{tuple(value.shape)}".encode() + value.numpy().tobytes()
    elif isinstance(value, dict):
        for name in value:
            yield name.encode()
            yield from parts_of(value[name])
    else:
        yield repr(value).encode()


def draw_from_all_generators(patch: Subject) -> Subject:
    noise = torch.rand(patch["t1"].shape) + random.random() + np.random.random()  # noqa: NPY002
    return patch.replace(t1=patch["t1"].with_data(patch["t1"].data + noise), luck=random.random())


def draw_from_rng(patch: Subject, rng: np.random.Generator) -> Subject:
    noise = rng.normal(size=patch["t1"].shape).astype(np.float32)
    return patch.replace(t1=patch["t1"].with_data(patch["t1"].array + noise), drawn=rng.random())


def change_everything(patch: Subject) -> Subject:
    small = patch["t1"].array[:, ::2, ::2, ::2].astype(np.float64)
    return patch.replace(
        t1=ScalarImage(tensor=small, affine=CHANGED_AFFINE),
        edge=ScalarImage(tensor=np.ones((3, 2, 2, 2), dtype=np.float32)),
        corner=patch["index_ini"] * 2,
        where=patch["location"],
        process=os.getpid(),
    ).without("seg")


def hide_the_place(patch: Subject) -> Subject:
    return patch.without("index_ini", "location").replace(seen=True)


def append_to_notes(patch: Subject) -> Subject:
    patch["notes"].append(-1)
    patch["t1"].array[:] = 0
    return patch


def enlarge_some(patch: Subject) -> Subject:
    many = 40 if int(patch["index_ini"].sum()) % 2 else 1
    return patch.replace(extra=LabelMap(tensor=np.full((1, many, 3, 3), many, dtype=np.int32)))


def fail(patch: Subject) -> Subject:
    raise ZeroDivisionError("no such luck")


def forget_to_return(patch: Subject) -> None:
    return None


def add_a_generator(patch: Subject) -> Subject:
    return patch.replace(bad=(number for number in range(3)))


@pytest.mark.parametrize(
    ("transform", "workers", "start_method"),
    [
        (draw_from_all_generators, (0, 1, 2), "forkserver"),
        (draw_from_all_generators, (0, 1), "spawn"),
        (draw_from_rng, (0, 2), "forkserver"),
    ],
)
def test_the_batches_are_the_same_for_any_number_of_workers(
    transform: Callable[..., Any], workers: tuple[int, ...], start_method: str
) -> None:
    hashes = set()
    for count in workers:
        torch.manual_seed(count)
        with make_queue(transform, workers=count, start_method=start_method) as queue:
            batches = [batch for _ in range(2) for batch in queue.batches(4)]
            assert len(batches) == 6
            hashes.add(hash_of({str(number): batch for number, batch in enumerate(batches)}))
    assert len(hashes) == 1


def test_a_transform_with_a_generator_of_its_own_draws_the_same_in_threads() -> None:
    with make_queue(draw_from_rng, workers=3, executor="threads") as queue:
        threads = [hash_of(batch) for batch in queue.batches(4)]
    assert threads == [hash_of(batch) for batch in make_queue(draw_from_rng).batches(4)]


@pytest.mark.parametrize("transform", [draw_from_all_generators, draw_from_rng])
def test_each_patch_and_epoch_draws_something_else(transform: Callable[..., Any]) -> None:
    queue = make_queue(transform)
    drawn = [float(patch.get("luck", patch.get("drawn"))) for _ in range(2) for patch in queue]
    assert len(set(drawn)) == 2 * len(queue)


def test_the_global_generators_are_left_as_they_were() -> None:
    queue = make_queue(draw_from_all_generators)
    random.seed(1), np.random.seed(1), torch.manual_seed(1)  # noqa: NPY002
    expected = random.random(), np.random.random(), float(torch.rand(1))  # noqa: NPY002
    random.seed(1), np.random.seed(1), torch.manual_seed(1)  # noqa: NPY002
    assert len(list(queue)) == len(queue)
    assert (random.random(), np.random.random(), float(torch.rand(1))) == expected  # noqa: NPY002


def test_a_transform_without_draws_gives_what_it_gives_of_the_plain_patch() -> None:
    for plain, changed in zip(make_queue(None), make_queue(change_everything), strict=True):
        expected = change_everything(plain)
        assert set(changed) == {*expected, "index_ini", "location"}
        for name, image in expected.get_images_dict(intensity_only=False).items():
            np.testing.assert_array_equal(changed[name].array, image.array)
            np.testing.assert_array_equal(changed[name].affine, image.affine)
            assert (type(changed[name]), changed[name].dtype) == (type(image), image.dtype)
        assert torch.equal(changed["corner"], plain["index_ini"] * 2)
        assert torch.equal(changed["where"], changed["location"])


@pytest.mark.parametrize("workers", [0, 1])
def test_what_it_changes_or_adds_crosses_into_the_batch(workers: int) -> None:
    with make_queue(change_everything, workers=workers) as queue:
        for batch in queue.batches(4):
            assert batch["t1"]["data"].dtype == torch.float64
            assert tuple(batch["t1"]["data"].shape[1:]) == (2, 2, 2, 3)
            assert torch.equal(batch["t1"]["affine"][0], torch.from_numpy(CHANGED_AFFINE))
            assert tuple(batch["edge"]["data"].shape[1:]) == (3, 2, 2, 2)
            assert torch.equal(batch["corner"], batch["index_ini"] * 2)
            assert torch.equal(
                batch["location"][:, 3:] - batch["location"][:, :3],
                torch.tensor(SIZE).expand(len(batch["corner"]), 3),
            )
            assert "seg" not in batch
            assert (os.getpid() in batch["process"]) == (workers == 0)


def test_affines_are_those_of_the_patch_where_the_transform_leaves_them() -> None:
    for plain, changed in zip(make_queue(None), make_queue(hide_the_place), strict=True):
        np.testing.assert_allclose(changed["t1"].affine, plain["t1"].affine, rtol=1e-15)


def test_the_place_is_known_even_where_the_transform_drops_it() -> None:
    for plain, changed in zip(make_queue(None), make_queue(hide_the_place), strict=True):
        assert torch.equal(changed["location"], plain["location"])
        assert torch.equal(changed["index_ini"], plain["index_ini"])


@pytest.mark.parametrize("workers", [0, 1])
def test_patches_larger_than_the_first_cross_too(workers: int) -> None:
    with make_queue(enlarge_some, workers=workers) as queue:
        patches = list(queue)
    sizes = {patch["extra"].shape[1] for patch in patches}
    assert sizes == {1, 40}
    assert all((patch["extra"].array == patch["extra"].shape[1]).all() for patch in patches)


def test_a_transform_may_change_its_patch_in_place() -> None:
    subjects = make_subjects(4)
    before = copy.deepcopy([subject["notes"] for subject in subjects])
    dataset = SubjectsDataset(subjects)
    queue = Queue(dataset, 6, 3, UniformSampler(SIZE), patch_transform=append_to_notes)
    assert all(len(patch["notes"]) == 2 for patch in queue)
    assert [subject["notes"] for subject in subjects] == before
    assert all(subject["t1"].array.any() for subject in subjects)


def test_it_works_with_a_sampler_that_reads_labels() -> None:
    queue = make_queue(hide_the_place, sampler=LabelSampler(SIZE))
    assert all(patch["seen"] for patch in queue)


@pytest.mark.parametrize("workers", [0, 1])
def test_an_exception_names_the_stage_and_the_subject(workers: int) -> None:
    with (
        make_queue(fail, workers=workers) as queue,
        pytest.raises(PatchError, match=r"s\d.*patch transform.*ZeroDivisionError: no such luck"),
    ):
        next(iter(queue))


@pytest.mark.parametrize(
    ("transform", "message"),
    [
        (forget_to_return, "the patch transform should give a voxloom.Subject, got NoneType"),
        (add_a_generator, "patch transform.*cannot pickle"),
    ],
)
def test_what_cannot_be_a_patch_is_said(transform: Any, message: str) -> None:
    with pytest.raises(PatchError, match=message):
        next(iter(make_queue(transform)))


def test_something_else_than_a_callable_is_refused_at_once() -> None:
    with pytest.raises(TypeError, match="patch_transform is callable, got int"):
        make_queue(3)
