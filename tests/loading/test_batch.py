"""What a trainer gets is what the sampler cuts: voxels, affines and metadata."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import changing
import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from voxloom import LabelMap, Queue, ScalarImage, Subject, UniformSampler

pytestmark = pytest.mark.filterwarnings("ignore:batches of")  # small queues mix little

MakeQueue = Callable[..., Queue]
Sign = Callable[[Iterable[Any]], list[str]]


def assert_like_the_samplers(patch: Subject, whole: Subject) -> None:
    expected = UniformSampler(4).extract_patch(whole, tuple(patch["index_ini"].tolist()))
    assert set(patch) == set(expected)
    for name, image in expected.get_images_dict(intensity_only=False).items():
        assert torch.equal(patch[name].data, image.data)
        assert patch[name].data.dtype == image.data.dtype
        assert np.array_equal(patch[name].affine, image.affine)
        assert type(patch[name]) is type(image)
        assert patch[name].type == image.type
    for key in ("index_ini", "location"):
        assert torch.equal(patch[key], expected[key])
        assert patch[key].dtype == torch.int64


def test_patches_are_those_the_sampler_cuts(make_queue: MakeQueue) -> None:
    subjects = changing.make_subjects(4)
    for patch in make_queue(subjects=subjects):
        assert_like_the_samplers(patch, subjects[patch.number])


@pytest.mark.parametrize("num_workers", [0, 1])
def test_what_a_transform_adds_and_replaces_is_in_the_patches(
    make_queue: MakeQueue, num_workers: int
) -> None:
    subjects = changing.make_subjects(4)
    queue = make_queue(
        subjects=subjects, transform=changing.add_and_replace, num_workers=num_workers
    )
    for patch in queue:
        assert patch.note == "added"
        assert patch.t1.data.dtype == torch.float64
        assert isinstance(patch.mask, LabelMap)
        assert_like_the_samplers(patch, changing.add_and_replace(subjects[patch.number]))


def test_the_affines_of_a_batch_are_those_of_its_patches(make_queue: MakeQueue) -> None:
    batches, patches = make_queue().batches(4), iter(make_queue())
    for batch in batches:
        for affine, patch in zip(batch["t1"]["affine"], patches, strict=False):
            assert affine.dtype == torch.float64
            assert np.array_equal(affine.numpy(), patch.t1.affine)


def test_metadata_of_every_kind_is_collated(make_queue: MakeQueue) -> None:
    subjects = changing.make_subjects(
        3,
        age=[40, 41, 42],
        dose=[1.5, 2, 3.5],
        site=["A", None, "C"],
        ill=[True, False, True],
        curve=[np.arange(2.0), np.ones(2), np.zeros(2)],
        ragged=[np.arange(1), np.arange(2), np.arange(3)],
        nested=[{"id": 1}, {"id": 2}, {"id": 3}],
    )
    [batch] = make_queue(subjects=subjects, samples=1).batches(3)
    order = batch["number"].tolist()
    assert batch["age"].tolist() == [40 + n for n in order]
    assert batch["dose"].tolist() == [[1.5, 2, 3.5][n] for n in order]
    assert batch["site"] == [["A", None, "C"][n] for n in order]
    assert batch["ill"].tolist() == [n != 1 for n in order]
    assert batch["curve"].shape == (3, 2)
    assert [len(one) for one in batch["ragged"]] == [n + 1 for n in order]
    assert batch["nested"]["id"].tolist() == [n + 1 for n in order]
    assert batch["t1"]["type"] == ["intensity"] * 3


@pytest.mark.parametrize("num_workers", [0, 1])
def test_subjects_that_do_not_stack_are_named(make_queue: MakeQueue, num_workers: int) -> None:
    two = ScalarImage(tensor=np.zeros((2, 8, 8, 8), dtype=np.float32))
    subjects = [*changing.make_subjects(3), Subject(t1=two, number=3)]
    queue = make_queue(subjects=subjects, max_length=2, num_workers=num_workers)
    with pytest.raises(ValueError, match=r"'t1' has shape .* one number of channels") as error:
        list(queue.batches(6))
    numbers = [patch.number for patch in queue]  # the error holds no slot, though it is held
    assert sorted(numbers) == sorted([0, 1, 2, 3] * 3)
    del error


@pytest.mark.parametrize("options", [{}, {"zero_copy": True}, {"device": "cpu"}], ids=str)
@pytest.mark.parametrize("num_workers", [0, 2])
@pytest.mark.parametrize("patch_size", [4, 32])  # some are of whole pages, and not copied
def test_images_of_several_dtypes_are_promoted_as_a_dataloader_does(
    make_queue: MakeQueue, options: dict[str, Any], num_workers: int, patch_size: int
) -> None:
    rng = np.random.default_rng(0)
    subjects = [
        Subject(
            t1=ScalarImage(tensor=rng.integers(0, 99, (1, 36, 36, 36)).astype(dtype)), number=number
        )
        for number, dtype in enumerate(["int16", "uint16", "float32", "int16", "uint8"])
    ]
    given = {"subjects": subjects, "patch_size": patch_size, "num_workers": num_workers}
    expected = list(DataLoader(make_queue(**given), batch_size=4))
    batches = make_queue(**given).batches(4, **options)
    for batch, like in zip(batches, expected, strict=True):
        assert batch["t1"]["data"].dtype == like["t1"]["data"].dtype
        assert torch.equal(batch["t1"]["data"], like["t1"]["data"])
    assert {like["t1"]["data"].dtype for like in expected} >= {torch.float32}
    assert len({like["t1"]["data"].dtype for like in expected}) > 1


def test_subjects_with_different_items_are_named(make_queue: MakeQueue) -> None:
    first, second = changing.make_subjects(2)
    queue = make_queue(subjects=[first, second.replace(site="A")])
    with pytest.raises(ValueError, match="the same items"):
        list(queue.batches(6))
    with pytest.raises(ValueError, match="the same items"):
        list(DataLoader(queue, batch_size=6))


@pytest.mark.parametrize("which", [0, 1])
def test_images_with_other_metadata_are_named_as_a_dataloader_does(
    make_queue: MakeQueue, which: int
) -> None:
    subjects = changing.make_subjects(2)
    voxels = subjects[which].t1.data
    subjects[which] = subjects[which].replace(t1=ScalarImage(tensor=voxels, site="A"))
    queue = make_queue(subjects=subjects, schedule="fill", shuffle_subjects=False)
    message = "image 't1' is an image with the same metadata in all subjects of one batch"
    for batches in (queue.batches(6), DataLoader(queue, batch_size=6)):
        with pytest.raises(ValueError, match=message):
            list(batches)


def test_patches_larger_than_those_of_the_first_subject_fit_too(make_queue: MakeQueue) -> None:
    small, large = changing.make_subjects(2)
    large = large.replace(t1=large.t1.with_data(large.t1.array.astype(np.float64)))
    queue = make_queue(
        subjects=[small, large], shuffle_subjects=False, shuffle_patches=False, num_workers=1
    )
    patches = list(queue)
    assert [patch.t1.data.dtype for patch in patches] == [torch.float32] * 3 + [torch.float64] * 3
    for patch in patches:
        assert_like_the_samplers(patch, [small, large][patch.number])


def test_a_batch_owns_its_memory(make_queue: MakeQueue) -> None:
    queue = make_queue(max_length=2, num_workers=1)
    batches = queue.batches(2)
    first = next(batches)
    copy = first["t1"]["data"].clone()
    list(batches)
    queue.close()
    assert torch.equal(first["t1"]["data"], copy)
    first["t1"]["data"].zero_()


@pytest.mark.parametrize("num_workers", [0, 1])
def test_batches_go_to_a_device_as_they_are(
    make_queue: MakeQueue, sign: Sign, num_workers: int
) -> None:
    expected = sign(make_queue().batches(4))
    queue = make_queue(num_workers=num_workers)
    assert sign(queue.batches(4, device="cpu")) == expected
    [batch, *_] = queue.batches(4, device="meta")
    devices = {value.device.type for value in batch["t1"].values() if torch.is_tensor(value)}
    assert devices == {batch["index_ini"].device.type} == {"meta"}
