"""The loaders that are compared: each builder gives a function that starts one epoch.

Every builder imports its library inside, so that a process pays for one of them only.
An epoch yields ``(image, labels, subjects)``: two tensors of (batch, channel, w, h, d), and
an array of the numbers of the subjects that its patches come from.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from measure.workload import LABELS, Workload

Pairs = list[tuple[Path, Path]]
Batch = tuple[Any, Any, Any]
Epoch = Callable[[], Iterator[Batch]]


@dataclass(frozen=True, slots=True)
class Delay:
    """A transform that changes nothing and takes its time; workers can unpickle it."""

    seconds: float

    def __call__(self, subject: Any) -> Any:
        time.sleep(self.seconds)
        return subject


def build_torchio(pairs: Pairs, work: Workload) -> Epoch:
    """TorchIO's queue under a plain DataLoader, as its documentation shows."""
    import torch
    import torchio
    from torch.utils.data import DataLoader

    torch.manual_seed(work.seed)
    subjects = [
        torchio.Subject(t1=torchio.ScalarImage(image), seg=torchio.LabelMap(labels), number=number)
        for number, (image, labels) in enumerate(pairs)
    ]
    queue = torchio.Queue(
        torchio.SubjectsDataset(subjects, _delay(work)),
        work.max_length,
        work.samples_per_volume,
        _sampler_of(torchio, work),
        num_workers=work.num_workers,
    )
    loader = DataLoader(queue, batch_size=work.batch_size)
    return lambda: _data_of(loader)


def build_voxloom(pairs: Pairs, work: Workload) -> Epoch:
    """voxloom's own way to give out batches."""
    queue = _voxloom_queue(pairs, work)
    return lambda: _data_of(queue.batches(work.batch_size))


def build_voxloom_nothing_kept(pairs: Pairs, work: Workload) -> Epoch:
    """The same, but every volume is decoded at each visit."""
    queue = _voxloom_queue(pairs, work, memory_cache=0)
    return lambda: _data_of(queue.batches(work.batch_size))


def build_voxloom_cache(pairs: Pairs, work: Workload) -> Epoch:
    """The same with a cache, whose folder is new: the first epoch writes decoded volumes to it."""
    import tempfile

    cache = tempfile.TemporaryDirectory(prefix="benchmark-cache-")
    queue = _voxloom_queue(pairs, work, cache=cache.name)

    def epoch_with_cache() -> Iterator[Batch]:
        assert cache.name  # The folder lives as long as this function.
        return _data_of(queue.batches(work.batch_size))

    return epoch_with_cache


def build_voxloom_prepared(pairs: Pairs, work: Workload) -> Epoch:
    """voxloom on what `voxloom.prepare` wrote, in its default layout."""
    return _voxloom_epochs("nifti", work)


def build_voxloom_prepared_zarr(pairs: Pairs, work: Workload) -> Epoch:
    """The same in the other layout."""
    return _voxloom_epochs("zarr", work)


def build_nnunet(pairs: Pairs, work: Workload) -> Epoch:
    """nnU-Net's own loader in its own processes, on what its own preprocessing wrote."""
    from batchgenerators.dataloading.nondet_multi_threaded_augmenter import (
        NonDetMultiThreadedAugmenter,
    )
    from nnunetv2.training.dataloading.data_loader import nnUNetDataLoader
    from nnunetv2.training.dataloading.nnunet_dataset import nnUNetDatasetBlosc2
    from nnunetv2.utilities.label_handling.label_handling import LabelManager

    labels = {"background": 0, **{f"structure {n}": n for n in LABELS}}
    size = (work.patch_size,) * 3
    loader = nnUNetDataLoader(
        nnUNetDatasetBlosc2(f"{work.prepared}/nnunet"),
        work.batch_size,
        size,
        size,
        LabelManager(labels, None),
        oversample_foreground_percent=1.0 if work.sampling == "label" else 0.0,
    )
    workers = work.num_workers
    batches = NonDetMultiThreadedAugmenter(loader, None, workers, max(6, workers // 2))

    def epoch() -> Iterator[Batch]:
        for _ in range(work.patches // work.batch_size):
            batch = next(batches)
            numbers = np.array([int(key.rpartition("_")[2]) for key in batch["keys"]])
            yield batch["data"], batch["target"], numbers

    return epoch


def build_voxloom_dataloader(pairs: Pairs, work: Workload) -> Epoch:
    """The same queue of voxloom under a plain DataLoader."""
    from torch.utils.data import DataLoader

    loader = DataLoader(_voxloom_queue(pairs, work), batch_size=work.batch_size)
    return lambda: _data_of(loader)


def build_monai(pairs: Pairs, work: Workload) -> Epoch:
    """MONAI's Dataset and DataLoader: workers decode a volume and cut all its patches."""
    from monai.data import DataLoader, Dataset
    from monai.utils import set_determinism

    set_determinism(seed=work.seed)
    dataset = Dataset(_monai_files(pairs), _monai_transform(work))
    return _monai_epochs(DataLoader, dataset, work)


def build_monai_persistent(pairs: Pairs, work: Workload) -> Epoch:
    """MONAI's PersistentDataset: the first epoch writes decoded volumes to a new folder."""
    import tempfile

    from monai.data import DataLoader, PersistentDataset
    from monai.utils import set_determinism

    set_determinism(seed=work.seed)
    cache = tempfile.TemporaryDirectory(prefix="benchmark-cache-")
    dataset = PersistentDataset(_monai_files(pairs), _monai_transform(work), cache.name)
    epoch = _monai_epochs(DataLoader, dataset, work)

    def epoch_with_cache() -> Iterator[Batch]:
        assert cache.name  # The folder lives as long as this function.
        return epoch()

    return epoch_with_cache


def _voxloom_queue(
    pairs: Pairs, work: Workload, cache: str | None = None, memory_cache: int | None = None
) -> Any:
    import voxloom

    subjects = [
        voxloom.Subject(t1=voxloom.ScalarImage(image), seg=voxloom.LabelMap(labels), number=number)
        for number, (image, labels) in enumerate(pairs)
    ]
    return voxloom.Queue(
        voxloom.SubjectsDataset(subjects, _delay(work), cache=cache),
        work.max_length,
        work.samples_per_volume,
        _sampler_of(voxloom, work),
        num_workers=work.num_workers,
        seed=work.seed,
        memory_cache=memory_cache,
    )


def _delay(work: Workload) -> Delay | None:
    """Return the transform of a work that takes its time; most have none."""
    return Delay(work.delay_s) if work.delay_s else None


def _voxloom_epochs(layout: str, work: Workload) -> Epoch:
    import voxloom

    queue = voxloom.Queue(
        voxloom.open_prepared(f"{work.prepared}/{layout}"),
        work.max_length,
        work.samples_per_volume,
        _sampler_of(voxloom, work),
        num_workers=work.num_workers,
        seed=work.seed,
    )
    return lambda: _data_of(queue.batches(work.batch_size))


def _sampler_of(library: Any, work: Workload) -> Any:
    """Build the sampler, whose name and arguments TorchIO and voxloom share."""
    if work.sampling == "uniform":
        return library.UniformSampler(work.patch_size)
    return library.LabelSampler(work.patch_size, "seg", dict.fromkeys(LABELS, 1))


def _data_of(batches: Any) -> Iterator[Batch]:
    for batch in batches:
        yield batch["t1"]["data"], batch["seg"]["data"], batch["number"]


def _monai_files(pairs: Pairs) -> list[dict[str, str | int]]:
    return [
        {"t1": str(image), "seg": str(labels), "number": number}
        for number, (image, labels) in enumerate(pairs)
    ]


def _monai_transform(work: Workload) -> Any:
    from monai.transforms import (
        Compose,
        EnsureChannelFirstd,
        LoadImaged,
        RandCropByLabelClassesd,
        RandSpatialCropSamplesd,
    )

    keys = ["t1", "seg"]
    size = [work.patch_size] * 3
    crop: Any
    if work.sampling == "uniform":
        crop = RandSpatialCropSamplesd(keys, size, work.samples_per_volume, random_size=False)
    else:
        crop = RandCropByLabelClassesd(
            keys,
            label_key="seg",
            spatial_size=size,
            ratios=[0, *(1 for _ in LABELS)],
            num_classes=1 + len(LABELS),
            num_samples=work.samples_per_volume,
        )
    steps = [LoadImaged(keys), EnsureChannelFirstd(keys), _delay(work), crop]
    return Compose([step for step in steps if step is not None])


def _monai_epochs(loader_class: Any, dataset: Any, work: Workload) -> Epoch:
    """Cut the batches of one volume, which is how MONAI gives them, into the asked size."""
    loader = loader_class(dataset, batch_size=1, shuffle=True, num_workers=work.num_workers)

    def epoch() -> Iterator[Batch]:
        for volume in loader:
            image, labels = volume["t1"].as_tensor(), volume["seg"].as_tensor()
            for start in range(0, work.samples_per_volume, work.batch_size):
                part = slice(start, start + work.batch_size)
                yield image[part], labels[part], volume["number"][part]

    return epoch


BUILDERS: dict[str, Callable[[Pairs, Workload], Epoch]] = {
    "voxloom": build_voxloom,
    "voxloom-nothing-kept": build_voxloom_nothing_kept,
    "voxloom-cache": build_voxloom_cache,
    "voxloom-dataloader": build_voxloom_dataloader,
    "voxloom-prepared": build_voxloom_prepared,
    "voxloom-prepared-zarr": build_voxloom_prepared_zarr,
    "nnunetv2": build_nnunet,
    "torchio": build_torchio,
    "monai": build_monai,
    "monai-persistent": build_monai_persistent,
}
LIBRARIES = {name: name.partition("-")[0] for name in BUILDERS}
