"""Defects of TorchIO in samplers, patches, the grid and the aggregator."""

from __future__ import annotations

import tracemalloc
from collections import Counter
from typing import Any

import numpy as np
import torch

from measure.changing import SIDE, replaced
from measure.defect import Defect, kind_of, refusal_of, say

LARGE = (512, 512, 400)


def slices_drawn_by_torchio(torchio: Any) -> int:
    """Draw from a uniform map by TorchIO's own index computation, which holds no copies of it."""
    sampler = torchio.WeightedSampler(1, "weights")
    weights = np.broadcast_to(1 / np.prod(LARGE), LARGE)
    sums = sampler.get_cumulative_distribution_function(weights)
    torch.manual_seed(0)
    return len({int(sampler.sample_probability_map(weights, sums)[2]) for _ in range(8000)})


def slices_drawn_by_voxloom(voxloom: Any) -> int:
    weights = np.broadcast_to(np.float32(1), (1, *LARGE))
    subject = voxloom.Subject(weights=voxloom.Image(tensor=weights, type=voxloom.SAMPLING_MAP))
    draw = voxloom.WeightedSampler(1, "weights").prepare(subject)
    rng = np.random.Generator(np.random.Philox(0))
    return len({draw(rng)[2] for _ in range(8000)})


def samplers_that_give_the_new_image(library: Any) -> int:
    """Replace a label map in a transform, and count the samplers whose patches are cut from it."""
    dataset = library.SubjectsDataset(
        [_subject(library, seg=library.LabelMap(tensor=_point(1)))],
        lambda subject: replaced(subject, seg=library.LabelMap(tensor=_point(4))),
    )
    samplers = (
        library.LabelSampler(2, "seg"),
        library.WeightedSampler(2, "seg"),
        library.UniformSampler(SIDE),
    )
    patches = [patch for sampler in samplers for patch in sampler(dataset[0], 1)]
    return sum(torch.equal(patch.seg.data.float(), _cut(_point(4), patch)) for patch in patches)


def names_of_a_patch(library: Any) -> set[str]:
    """Add an image and metadata in a transform, and list what the patch carries."""
    added = {"more": library.ScalarImage(tensor=_point(4)), "note": "added"}
    dataset = library.SubjectsDataset(
        [_subject(library)], lambda subject: replaced(subject, **added)
    )
    return set(next(library.UniformSampler(4)(dataset[0])).keys()) & {"more", "note"}


def width_of_a_large_patch(library: Any) -> int:
    return int(library.UniformSampler(70000).patch_size[0])


def patch_beyond_the_corner(library: Any) -> Any:
    """Return the shape of a patch that begins outside the volume, or the error."""
    shapes: list[Any] = []
    sampler, subject = library.UniformSampler(4), _subject(library)
    error = refusal_of(
        lambda: shapes.append(tuple(sampler.extract_patch(subject, (50, 50, 50)).spatial_shape))
    )
    return error or shapes[0]


def average_of_uint8(library: Any) -> list[float]:
    sampler = library.GridSampler(_subject(library), 4, 2)
    aggregator = library.GridAggregator(sampler, overlap_mode="average")
    for place in sampler.locations:
        patch = torch.full((1, 1, 4, 4, 4), 255, dtype=torch.uint8)
        aggregator.add_batch(patch, torch.as_tensor(np.asarray(place))[None])
    return sorted(set(aggregator.get_output_tensor().flatten().tolist()))


def bytes_for_another_patch(library: Any) -> float:
    """Return the memory that a second call on one map takes, in bytes a voxel of the map."""
    side = 96
    weights = np.random.default_rng(0).random((1, side, side, side), np.float32)
    image = library.Image(tensor=torch.as_tensor(weights), type=library.SAMPLING_MAP)
    subject, sampler = _subject(library, side, weights=image), library.WeightedSampler(8, "weights")
    list(sampler(subject, 1))
    tracemalloc.start()
    try:
        list(sampler(subject, 1))
        return tracemalloc.get_traced_memory()[1] / side**3
    finally:
        tracemalloc.stop()


def negative_probabilities(library: Any) -> Exception | None:
    return _refusal_of_probabilities(library, {0: -1, 1: 2})


def no_probabilities(library: Any) -> Exception | None:
    return _refusal_of_probabilities(library, {0: 0, 1: 0})


def channels_drawn(library: Any) -> int:
    """Count the channels that hold a centre, where each channel has one voxel of its own."""
    channels = torch.cat([_point(1), _point(5)])
    subject = _subject(library, seg=library.LabelMap(tensor=channels))
    torch.manual_seed(0)
    places = Counter(
        int(patch["location"][0]) for patch in library.LabelSampler(1, "seg")(subject, 60)
    )
    return len(places.keys() & {1, 5})


def _subject(library: Any, side: int = SIDE, **images: Any) -> Any:
    return library.Subject(
        t1=library.ScalarImage(tensor=torch.zeros(1, side, side, side)), **images
    )


def _point(place: int) -> torch.Tensor:
    voxels = torch.zeros(1, SIDE, SIDE, SIDE)
    voxels[0, place, place, place] = 1
    return voxels


def _cut(voxels: torch.Tensor, patch: Any) -> torch.Tensor:
    first, last = np.asarray(patch["location"]).reshape(2, 3).tolist()
    return voxels[:, first[0] : last[0], first[1] : last[1], first[2] : last[2]]


def _refusal_of_probabilities(library: Any, probabilities: dict[int, float]) -> Exception | None:
    voxels = (torch.arange(SIDE**3).reshape(1, SIDE, SIDE, SIDE) % 2).float()
    subject = _subject(library, seg=library.LabelMap(tensor=voxels))
    return refusal_of(lambda: next(library.LabelSampler(2, "seg", probabilities)(subject)))


def _is_a_value_error_with_words(error: Exception | None) -> bool:
    return isinstance(error, ValueError) and bool(str(error))


DEFECTS = (
    Defect(
        "torchio",
        "8000 draws from a uniform 512x512x400 map reach all slices",
        slices_drawn_by_torchio,
        lambda slices: slices == LARGE[2],
        lambda slices: f"{slices} of {LARGE[2]} slices",
        slices_drawn_by_voxloom,
    ),
    Defect(
        "torchio",
        "an image that a transform replaced is the one in patches",
        samplers_that_give_the_new_image,
        lambda samplers: samplers == 3,
        lambda samplers: f"with {samplers} of 3 samplers",
    ),
    Defect(
        "torchio",
        "an image and metadata that a transform added are in patches",
        names_of_a_patch,
        lambda names: names == {"more", "note"},
        lambda names: f"{sorted(names)} of ['more', 'note']",
    ),
    Defect(
        "torchio",
        "a patch size of 70000 stays 70000",
        width_of_a_large_patch,
        lambda width: width == 70000,
    ),
    Defect(
        "torchio",
        "a patch that begins outside the volume is an error",
        patch_beyond_the_corner,
        lambda found: isinstance(found, ValueError),
        lambda found: (
            kind_of(found) if isinstance(found, Exception) else f"a patch of shape {found}"
        ),
    ),
    Defect(
        "torchio",
        "the average of overlapping uint8 patches of 255 is 255",
        average_of_uint8,
        lambda values: values == [255],
    ),
    Defect(
        "torchio",
        "a second call on one float32 map takes less memory than the map",
        bytes_for_another_patch,
        lambda size: size < 4,
        lambda size: f"{size:.2f} bytes a voxel",
    ),
    Defect(
        "torchio",
        "negative label probabilities are a ValueError",
        negative_probabilities,
        _is_a_value_error_with_words,
        say,
    ),
    Defect(
        "torchio",
        "label probabilities that are all zero are a ValueError with words",
        no_probabilities,
        _is_a_value_error_with_words,
        say,
    ),
    Defect(
        "torchio",
        "without probabilities every channel of a label map is foreground",
        channels_drawn,
        lambda channels: channels == 2,
        lambda channels: f"{channels} of 2 channels",
    ),
)
