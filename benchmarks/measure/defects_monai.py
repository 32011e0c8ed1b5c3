"""Defects of MONAI in its patch data sets, buffers, caches, threads, weights and merging."""

from __future__ import annotations

import tempfile
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader

from measure.changing import SIDE, Note, fail_at_five, subjects_of
from measure.defect import Defect

WIDE = 300
WORKERS, EPOCHS = 4, 4
CACHED_BYTES = 1600  # a little more than what voxloom keeps of one of these volumes


def loads_by_monais_workers(monai: Any) -> tuple[int, int]:
    """Return how often 8 volumes are loaded in ``EPOCHS`` of two patches each, and the patches."""
    with tempfile.TemporaryDirectory() as folder:
        note = Note(Path(folder) / "loads")
        volumes = monai.data.Dataset(list(range(8)), lambda number: note(_volume(number)))
        patches = monai.data.PatchDataset(volumes, _two_crops(monai), 2)
        loader = DataLoader(patches, batch_size=1, num_workers=WORKERS)
        length = sum(1 for _ in range(EPOCHS) for _ in loader)
        return note.file.stat().st_size, length


def loads_by_voxlooms_workers(voxloom: Any) -> tuple[int, int]:
    """Do the same; the workers have then begun to load for the epoch that would follow."""
    with tempfile.TemporaryDirectory() as folder:
        note = Note(Path(folder) / "loads")
        dataset = voxloom.SubjectsDataset(subjects_of(voxloom, 8), note)
        sampler = voxloom.UniformSampler(4)
        with voxloom.Queue(dataset, 8, 2, sampler, num_workers=WORKERS) as queue:
            length = sum(1 for _ in range(EPOCHS) for _ in DataLoader(queue, batch_size=None))
            return note.file.stat().st_size, length


def patches_of_a_buffer(monai: Any) -> int:
    """Count the patches of 8 volumes that come through a buffer which shuffles."""
    volumes = [_volume(number) for number in range(8)]
    patches = monai.data.PatchDataset(volumes, _two_crops(monai), 2)
    buffer = monai.data.ShuffleBuffer(patches, buffer_size=8)
    return sum(1 for _ in DataLoader(buffer, batch_size=1, num_workers=WORKERS))


def patches_of_a_queue(voxloom: Any) -> int:
    dataset = voxloom.SubjectsDataset(subjects_of(voxloom, 8))
    options = {"num_workers": WORKERS, "executor": "processes"}
    with voxloom.Queue(dataset, 8, 2, voxloom.UniformSampler(4), **options) as queue:
        return sum(1 for _ in DataLoader(queue, batch_size=None))


def images_from_half_a_cache(monai: Any) -> Counter[int]:
    """Count, by image, the grid's patches of 6 images of which half are cached."""
    dataset = monai.data.GridPatchDataset(
        [_volume(number) for number in range(6)],
        monai.data.PatchIter((4, 4, 4)),
        cache=True,
        cache_rate=0.5,
        progress=False,
    )
    return Counter(int(np.asarray(patch).flat[0]) for patch, _ in dataset)


def images_from_half_a_cache_of_voxloom(voxloom: Any) -> Counter[int]:
    with tempfile.TemporaryDirectory() as folder:
        subjects = _written_subjects(voxloom, Path(folder), 6)
        room = {"cache": f"{folder}/cache", "cache_limit": 3 * CACHED_BYTES}
        dataset = voxloom.SubjectsDataset(subjects, **room)
        grid = voxloom.GridSampler(patch_size=4)
        queue = voxloom.Queue(dataset, 8, 1, grid)
        for _ in range(2):  # the second epoch reads what the first has kept
            found = Counter(int(patch.t1.data.flatten()[0]) for patch in queue)
        return found


def error_of_a_thread(monai: Any) -> tuple[str | None, int]:
    """Return the error that a loader with a thread gives for one of 8 items, and what came."""
    dataset = monai.data.Dataset(list(range(8)), _number_or_error)
    hook, threading.excepthook = threading.excepthook, lambda _: None
    try:
        return _until_error(monai.data.ThreadDataLoader(dataset, batch_size=1, num_workers=0))
    finally:
        threading.excepthook = hook


def error_of_voxlooms_thread(voxloom: Any) -> tuple[str | None, int]:
    dataset = voxloom.SubjectsDataset(subjects_of(voxloom, 8), fail_at_five)
    options = {"num_workers": 1, "executor": "threads", "shuffle_subjects": False}
    with voxloom.Queue(dataset, 4, 1, voxloom.UniformSampler(4), **options) as queue:
        return _until_error(queue)


def slices_of_a_wide_map(monai: Any) -> int:
    """Draw from a uniform float32 map of 300 voxels a side, and count the first axis."""
    weights = np.ones((WIDE,) * 3, np.float32)
    random = np.random.RandomState(0)
    places = monai.transforms.utils.weighted_patch_samples(4, weights, 8000, random)
    return len({int(place[0]) for place in places})


def slices_of_a_wide_map_by_voxloom(voxloom: Any) -> int:
    weights = np.ones((1, *(WIDE,) * 3), np.float32)
    subject = voxloom.Subject(weights=voxloom.Image(tensor=weights, type=voxloom.SAMPLING_MAP))
    draw = voxloom.WeightedSampler(4, "weights").prepare(subject)
    rng = np.random.Generator(np.random.Philox(0))
    return len({draw(rng)[0] for _ in range(8000)})


def places_along_an_axis(monai: Any) -> list[int]:
    """List the first voxels that patches of 4 take along an axis of 8, weights all one."""
    weights = np.ones((SIDE,) * 3, np.float32)
    random = np.random.RandomState(0)
    centres = monai.transforms.utils.weighted_patch_samples(4, weights, 500, random)
    return sorted({int(centre[0]) - 2 for centre in centres})


def places_along_an_axis_by_voxloom(voxloom: Any) -> list[int]:
    weights = np.ones((1, *(SIDE,) * 3), np.float32)
    subject = voxloom.Subject(weights=voxloom.Image(tensor=weights, type=voxloom.SAMPLING_MAP))
    patches = voxloom.WeightedSampler(4, "weights")(subject, 500, rng=0)
    return sorted({int(patch["index_ini"][0]) for patch in patches})


def epochs_by_monais_workers(monai: Any) -> int:
    """Return how many different epochs 1, 2 and 3 workers give with one seed."""

    def epoch(workers: int) -> tuple[int, ...]:
        monai.utils.set_determinism(seed=0)
        crop = monai.transforms.RandSpatialCrop(4, random_size=False)
        dataset = monai.data.Dataset(ramps, monai.transforms.Compose([crop]))
        loader = monai.data.DataLoader(dataset, batch_size=1, num_workers=workers, shuffle=True)
        return tuple(int(patch.flatten()[0]) for patch in loader)

    ramps = [_ramp(number) for number in range(6)]
    try:
        return len({epoch(workers) for workers in (1, 2, 3)})
    finally:
        monai.utils.set_determinism(seed=None)


def epochs_by_voxlooms_workers(voxloom: Any) -> int:
    def epoch(workers: int) -> tuple[int, ...]:
        options = {"num_workers": workers, "seed": 0, "executor": "processes"}
        with voxloom.Queue(dataset, 6, 1, voxloom.UniformSampler(4), **options) as queue:
            return tuple(int(patch.t1.data.flatten()[0]) for patch in queue)

    ramps = [voxloom.ScalarImage(tensor=_ramp(number)) for number in range(6)]
    dataset = voxloom.SubjectsDataset([voxloom.Subject(t1=ramp) for ramp in ramps])
    return len({epoch(workers) for workers in (1, 2, 3)})


def average_of_many(monai: Any) -> list[float]:
    """Average patches of ones that overlap 512 times in the middle, as a dense grid does."""
    import voxloom

    merger = monai.inferers.AvgMerger((1, 1, *(32,) * 3))
    for place in _dense_grid(voxloom).locations.tolist():
        merger.aggregate(torch.ones(1, 1, 16, 16, 16), place[:3])
    return sorted(set(merger.finalize().flatten().tolist()))


def average_of_many_by_voxloom(voxloom: Any) -> list[float]:
    grid = _dense_grid(voxloom)
    aggregator = voxloom.GridAggregator(grid, overlap_mode="average")
    locations = torch.as_tensor(grid.locations)
    aggregator.add_batch(torch.ones(len(grid), 1, 16, 16, 16), locations)
    return sorted(set(aggregator.get_output_tensor().flatten().tolist()))


def _volume(number: int) -> np.ndarray[Any, Any]:
    return np.full((1, SIDE, SIDE, SIDE), number, np.float32)


def _ramp(number: int) -> np.ndarray[Any, Any]:
    voxels = np.arange(SIDE**3, dtype=np.float32) + 1000 * number
    return voxels.reshape(1, SIDE, SIDE, SIDE)


def _two_crops(monai: Any) -> Any:
    return monai.transforms.RandSpatialCropSamples(4, 2, random_size=False)


def _number_or_error(number: int) -> np.float32:
    if number == 5:
        raise LookupError("item 5")
    return np.float32(number)


def _until_error(items: Any) -> tuple[str | None, int]:
    count = 0
    try:
        for _ in items:
            count += 1
    except LookupError as error:
        return type(error).__name__, count
    return None, count


def _written_subjects(voxloom: Any, folder: Path, count: int) -> list[Any]:
    from voxloom.io import write_nifti

    paths = [
        write_nifti(folder / f"{number}.nii.gz", _volume(number)[0].astype(np.int16))
        for number in range(count)
    ]
    return [voxloom.Subject(t1=voxloom.ScalarImage(path)) for path in paths]


def _dense_grid(voxloom: Any) -> Any:
    volume = voxloom.ScalarImage(tensor=np.zeros((1, 32, 32, 32), np.float32))
    return voxloom.GridSampler(voxloom.Subject(t1=volume), 16, 14)


DEFECTS = (
    Defect(
        "monai",
        f"{WORKERS} workers load each volume once an epoch, but for what they load ahead",
        loads_by_monais_workers,
        lambda found: found[0] < 1.5 * 8 * EPOCHS and found[1] == 16 * EPOCHS,
        lambda found: f"{found[0]} loads of 8 volumes in {EPOCHS} epochs",
        loads_by_voxlooms_workers,
    ),
    Defect(
        "monai",
        f"a shuffled epoch of 16 patches is whole with {WORKERS} workers",
        patches_of_a_buffer,
        lambda length: length == 16,
        lambda length: f"{length} of 16 patches",
        patches_of_a_queue,
    ),
    Defect(
        "monai",
        "a cache of half the data gives each image's own patches",
        images_from_half_a_cache,
        lambda counts: counts == dict.fromkeys(range(6), 8),
        lambda counts: f"patches by image {dict(sorted(counts.items()))}",
        images_from_half_a_cache_of_voxloom,
    ),
    Defect(
        "monai",
        "an exception in a loader's thread reaches the trainer",
        error_of_a_thread,
        lambda found: found[0] is not None,
        lambda found: f"{found[0] or 'no error'} after {found[1]} of 8 items",
        error_of_voxlooms_thread,
    ),
    Defect(
        "monai",
        "draws from a float32 map of more than 2^24 weights reach its last third",
        slices_of_a_wide_map,
        lambda slices: slices > 0.95 * (WIDE - 3),
        lambda slices: f"{slices} of {WIDE - 3} slices",
        slices_of_a_wide_map_by_voxloom,
    ),
    Defect(
        "monai",
        "every place where a patch fits is drawn, the last included",
        places_along_an_axis,
        lambda places: places == [0, 1, 2, 3, 4],
        lambda places: f"{places} of 0 to 4",
        places_along_an_axis_by_voxloom,
    ),
    Defect(
        "monai",
        "one seed gives the same patches for 1, 2 and 3 workers",
        epochs_by_monais_workers,
        lambda epochs: epochs == 1,
        lambda epochs: "all the same" if epochs == 1 else f"{epochs} different epochs",
        epochs_by_voxlooms_workers,
    ),
    Defect(
        "monai",
        "ones that overlap 512 times average to one",
        average_of_many,
        lambda values: values == [1],
        lambda values: f"{values[0]:.3g} to {values[-1]:.3g}",
        average_of_many_by_voxloom,
    ),
)
