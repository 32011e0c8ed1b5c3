"""Batches on a device are those on the CPU, however far the copies run ahead of the trainer.

For a GPU patches lie as their volumes do until they are on it. Where there is none, the CPU stands
in for it: copies and turns are the same calls, only page-locked memory and side stream are not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import changing
import numpy as np
import pytest
import torch

from voxloom import GridSampler, LabelMap, Queue, ScalarImage, Subject, UniformSampler
from voxloom.io import write_nifti
from voxloom.loading import _device
from voxloom.loading._device import Unturned

pytestmark = pytest.mark.filterwarnings("ignore:batches of")  # small queues mix little
on_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
MakeQueue = Callable[..., Queue]
Sign = Callable[[Iterable[Any]], list[str]]
SHAPE = (20, 26, 18)
PATCH = (6, 11, 8)
IMAGES = ("t1", "t2", "seg")


@pytest.fixture
def turned(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Let any device turn patches, and return the orders that those of each image had."""
    orders: list[str] = []

    def turn(self: Unturned, device: torch.device) -> torch.Tensor:
        orders.append(self.orders)
        return on_device(self, device)

    on_device = Unturned.turned
    monkeypatch.setattr(Unturned, "turned", turn)
    monkeypatch.setattr(_device, "is_turning", lambda device: device is not None)
    return orders


@pytest.fixture
def stored(tmp_path: Path) -> list[Subject]:
    """Subjects of int16 with two channels, float32 and uint8, which lie in files and in memory."""
    return [_subject(tmp_path, number) for number in range(6)]


def _subject(folder: Path, number: int) -> Subject:
    rng = np.random.default_rng(number)
    t1 = rng.integers(-999, 999, (2, *SHAPE), np.int16)
    t2 = rng.random((1, *SHAPE), np.float32)
    seg = rng.integers(0, 9, (1, *SHAPE), np.uint8)
    if number % 2:  # as files of the others lie, or turned
        order: Any = "F" if number == 3 else "C"
        return Subject(
            t1=ScalarImage(tensor=np.array(t1, order=order)),
            t2=ScalarImage(tensor=np.array(t2, order="F")),
            seg=LabelMap(tensor=seg),
        )
    return Subject(
        t1=ScalarImage(write_nifti(folder / f"{number}.t1.nii", t1)),
        t2=ScalarImage(write_nifti(folder / f"{number}.t2.nii.gz", t2)),
        seg=LabelMap(write_nifti(folder / f"{number}.seg.nii", seg)),
    )


def outcome(batches: Iterable[Any], sign: Sign) -> list[str]:
    """Return what batches hold, having seen that their voxels lie in C order."""
    held = list(batches)
    assert all(batch[name]["data"].is_contiguous() for batch in held for name in IMAGES)
    return sign(
        {**batch, **{name: {"data": batch[name]["data"]} for name in IMAGES}} for batch in held
    )


def to_cpu(item: Any) -> Any:
    if isinstance(item, torch.Tensor):
        return item.cpu()
    return {name: to_cpu(value) for name, value in item.items()} if isinstance(item, dict) else item


@on_gpu
@pytest.mark.parametrize("options", [{}, {"num_workers": 2}])
def test_batches_are_the_same_while_the_gpu_is_behind(
    make_queue: MakeQueue, sign: Sign, options: dict[str, Any]
) -> None:
    settings = {"count": 12, "subjects": changing.make_subjects(12, side=40), "patch_size": 32}
    expected = sign(make_queue(**settings).batches(4))
    kept = []
    for batch in make_queue(**settings, **options).batches(4, device="cuda"):
        torch.cuda._sleep(50_000_000)  # what is queued behind this runs tens of milliseconds later
        kept.append({**batch, "t1": {**batch["t1"], "data": batch["t1"]["data"] + 0}})
        del batch  # its memory may be given to a batch that is copied meanwhile
    assert sign(to_cpu(batch) for batch in kept) == expected


@on_gpu
def test_all_tensors_are_on_the_device(make_queue: MakeQueue) -> None:
    batch = next(make_queue(num_workers=1).batches(2, device="cuda"))
    tensors = [batch["t1"]["data"], batch["t1"]["affine"], batch["index_ini"], batch["number"]]
    assert {tensor.device.type for tensor in tensors} == {"cuda"}


@on_gpu
def test_a_trainer_with_a_stream_of_its_own_sees_whole_batches(
    make_queue: MakeQueue, sign: Sign
) -> None:
    expected = sign(make_queue().batches(4))
    with torch.cuda.stream(torch.cuda.Stream()):
        batches = make_queue(num_workers=1).batches(4, device="cuda")
        assert sign(map(to_cpu, batches)) == expected


@pytest.mark.parametrize("orders", ["CCC", "FFF", "FCF", "CFC"])
@pytest.mark.parametrize("shape", [(2, 3, 4, 5), (1, 1, 4, 3), (1, 4, 3, 1), (2, 1, 1, 3)])
def test_a_device_gives_each_patch_c_order(orders: str, shape: tuple[int, ...]) -> None:
    batch = torch.arange(3 * np.prod(shape), dtype=torch.int16).reshape(3, *shape)
    lying = [
        patch.numpy().transpose(0, 3, 2, 1).ravel() if order == "F" else patch.numpy().ravel()
        for patch, order in zip(batch, orders, strict=True)
    ]
    memory = torch.from_numpy(np.stack(lying)).reshape(batch.shape)
    turned = Unturned(memory, orders).turned(torch.device("cpu"))
    assert turned.is_contiguous()
    assert torch.equal(turned, batch)


@pytest.mark.parametrize(
    "options",
    [{}, {"num_workers": 1}, {"num_workers": 2}, {"num_workers": 2, "executor": "threads"}],
)
@pytest.mark.parametrize("cached", [0, 2**24])
def test_patches_in_every_order_give_the_batches_of_those_that_workers_turn(
    make_queue: MakeQueue,
    sign: Sign,
    stored: list[Subject],
    turned: list[str],
    options: dict[str, Any],
    cached: int,
) -> None:
    settings = {"subjects": stored, "sampler": UniformSampler(PATCH)}
    expected = make_queue(**settings)
    queue = make_queue(**settings, **options, memory_cache=cached)
    for _ in range(3):
        assert outcome(queue.batches(4, device="cpu"), sign) == outcome(expected.batches(4), sign)
    assert {"C", "F"} <= set("".join(turned))  # some came as they lie, and none was asked twice


def test_images_of_several_dtypes_are_promoted_as_they_lie(
    make_queue: MakeQueue, stored: list[Subject], turned: list[str]
) -> None:
    whole = [Subject(t1=subject["seg"]) for subject in stored[:3]]
    real = [Subject(t1=subject["t2"]) for subject in stored[3:]]
    settings = {"subjects": whole + real, "sampler": UniformSampler(PATCH)}
    expected = [batch["t1"]["data"] for batch in make_queue(**settings).batches(4)]
    found = make_queue(**settings, num_workers=1).batches(4, device="cpu")
    for voxels, batch in zip(expected, found, strict=True):
        assert voxels.dtype == batch["t1"]["data"].dtype
        assert torch.equal(voxels, batch["t1"]["data"])
    assert {"C", "F"} <= set("".join(turned))
    assert {voxels.dtype for voxels in expected} >= {torch.float32}


def test_workers_leave_patches_of_niftis_as_they_lie(
    make_queue: MakeQueue, stored: list[Subject], turned: list[str]
) -> None:
    queue = make_queue(subjects=stored[::2], sampler=UniformSampler(PATCH), memory_cache=0)
    assert len(list(queue.batches(3, device="cpu"))) == 3
    assert turned == ["FFF"] * 9
    turned.clear()
    queue = make_queue(subjects=stored[::2], sampler=UniformSampler(PATCH), memory_cache=0)
    assert len(list(queue.batches(3))) == 3
    assert turned == []


@pytest.mark.parametrize("mode", ["constant", "edge", "reflect", 7])
@pytest.mark.parametrize("num_workers", [0, 1])
def test_patches_that_overhang_are_padded_alike(
    make_queue: MakeQueue,
    sign: Sign,
    stored: list[Subject],
    turned: list[str],
    mode: Any,
    num_workers: int,
) -> None:
    settings = {"subjects": stored, "sampler": GridSampler(None, (12, 9, 16), 4, mode)}
    expected = outcome(make_queue(**settings).batches(5), sign)
    queue = make_queue(**settings, num_workers=num_workers)
    assert outcome(queue.batches(5, device="cpu"), sign) == expected
    assert "F" in "".join(turned)


def test_a_patch_transform_gets_what_it_gets_without_a_device(
    make_queue: MakeQueue, sign: Sign, stored: list[Subject], turned: list[str]
) -> None:
    settings = {
        "subjects": stored, "sampler": UniformSampler(PATCH), "patch_transform": mark_c_order
    }  # fmt: skip
    expected = list(make_queue(**settings).batches(4))
    given = list(make_queue(**settings, num_workers=1).batches(4, device="cpu"))
    assert sign(given) == sign(expected)
    assert all(batch["is_c_order"].all() for batch in given)
    assert set("".join(turned)) == {"C"}


def mark_c_order(subject: Subject) -> Subject:
    is_c_order = all(subject[name].array.flags.c_contiguous for name in IMAGES)
    return subject.replace(is_c_order=is_c_order)


def test_a_subject_that_is_larger_than_a_slot_crosses_as_it_lies(
    make_queue: MakeQueue, sign: Sign, stored: list[Subject], turned: list[str]
) -> None:
    small = stored[0].replace(t1=stored[0]["t2"])
    settings = {"subjects": [small, stored[2]], "sampler": UniformSampler(PATCH), "memory_cache": 0}
    expected = outcome(make_queue(**settings).batches(1), sign)
    queue = make_queue(**settings, num_workers=1)
    list(queue.batches(1, device="cpu"))  # the first patches were asked for before a device was
    turned.clear()
    queue.load_state_dict({**queue.state_dict(), "epoch": 0})
    assert outcome(queue.batches(1, device="cpu"), sign) == expected
    assert "F" in turned


@pytest.mark.parametrize("options", [{}, {"num_workers": 2}])
def test_a_queue_that_served_a_device_serves_every_other_loop(
    make_queue: MakeQueue,
    sign: Sign,
    stored: list[Subject],
    turned: list[str],
    options: dict[str, Any],
) -> None:
    settings = {"subjects": stored, "sampler": UniformSampler(PATCH)}
    plain, queue = make_queue(**settings), make_queue(**settings, **options)
    for _ in range(3):
        assert outcome(queue.batches(4, device="cpu"), sign) == outcome(plain.batches(4), sign)
        assert outcome(queue.batches(4), sign) == outcome(plain.batches(4), sign)
        assert sign(queue.replay(2, batch_size=4, device="cpu")) == sign(
            plain.replay(2, batch_size=4)
        )
        leased = (sign([dict(batch)]) for batch in queue.batches(4, zero_copy=True))
        assert [one for signed in leased for one in signed] == sign(plain.batches(4))
        list(queue.batches(4, device="cpu"))
        list(plain.batches(4))
        assert sign(queue) == sign(plain)
        assert sign([queue.explain(5).patch]) == sign([plain.explain(5).patch])
    assert "F" in "".join(turned)


def test_an_epoch_that_a_device_left_goes_on_from_its_state(
    make_queue: MakeQueue, sign: Sign, stored: list[Subject], turned: list[str]
) -> None:
    settings = {"subjects": stored, "sampler": UniformSampler(PATCH)}
    expected = outcome(make_queue(**settings).batches(3), sign)
    left = make_queue(**settings, num_workers=2)
    batches = left.batches(3, device="cpu")
    begun = [next(batches), next(batches)]
    other = make_queue(**settings)
    other.load_state_dict(left.state_dict())
    assert outcome([*begun, *other.batches(3, device="cpu")], sign) == expected


@pytest.mark.parametrize("zero_copy", [False, True])
def test_patches_that_lie_as_volumes_are_turned_where_batches_would_show_them_uncopied(
    make_queue: MakeQueue, tmp_path: Path, turned: list[str], zero_copy: bool
) -> None:
    """Those of whole pages, which a device left in the slots; what is made later is in C order."""
    ramp = np.arange(50**3, dtype=np.int16).reshape(50, 50, 50)
    subjects = [
        Subject(t1=ScalarImage(write_nifti(tmp_path / f"{n}.nii", ramp + n)), number=n)
        for n in range(4)
    ]
    settings = {"subjects": subjects, "patch_size": 48}
    plain, queue = make_queue(**settings), make_queue(**settings, num_workers=1)
    for _ in range(2):
        list(queue.batches(2, device="cpu"))
        list(plain.batches(2))
    assert turned[-1] == "FF"
    for batch, expected in zip(
        queue.batches(2, zero_copy=zero_copy), plain.batches(2), strict=True
    ):
        assert batch["t1"]["data"].is_contiguous()
        assert torch.equal(batch["t1"]["data"], expected["t1"]["data"])
