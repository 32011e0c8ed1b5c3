import re
from itertools import islice
from typing import Any

import numpy as np
import pytest
import torch

from voxloom._errors import (
    PaddingError,
    PatchSizeError,
    PatchTooLargeError,
    SamplerError,
    SpaceMismatchError,
)
from voxloom.geometry import Index3
from voxloom.patches import LabelSampler, PatchSampler, UniformSampler, WeightedSampler
from voxloom.subjects import LabelMap, ScalarImage, Subject

SHAPE = (9, 8, 7)


class FixedSampler(PatchSampler):
    """Places every patch where it is told."""

    def __init__(self, patch_size: Any, place: Any, padding_mode: Any = None) -> None:
        super().__init__(patch_size, padding_mode)
        self.place = place

    def locate(self, subject: Subject, rng: np.random.Generator) -> Index3:
        return self.place  # type: ignore[no-any-return]


def subject_of(**items: Any) -> Subject:
    voxels = np.arange(np.prod(SHAPE), dtype=np.int16).reshape(1, *SHAPE)
    return Subject(t1=ScalarImage(tensor=voxels), subject_id="s1", **items)


def places(patches: Any) -> list[list[int]]:
    return [patch["index_ini"].tolist() for patch in patches]


def test_the_base_class_cannot_be_used() -> None:
    with pytest.raises(TypeError, match="abstract"):
        PatchSampler(4)  # type: ignore[abstract]


def test_the_patch_size_is_a_tuple_that_cannot_be_assigned() -> None:
    sampler = UniformSampler(np.int32(4))  # type: ignore[arg-type]
    assert sampler.patch_size == (4, 4, 4)
    with pytest.raises(AttributeError, match="patch_size"):
        sampler.patch_size = (1, 1, 1)  # type: ignore[misc]


def test_sizes_and_padding_modes_are_checked_when_the_sampler_is_made() -> None:
    with pytest.raises(PatchSizeError, match="got 0"):
        UniformSampler(0)
    with pytest.raises(PaddingError, match="got 'wrap'"):
        UniformSampler(4, padding_mode="wrap")  # type: ignore[arg-type]


def test_one_method_makes_a_sampler() -> None:
    patch = next(FixedSampler((2, 3, 4), (1, 2, 3))(subject_of(age=42)))
    assert patch["location"].tolist() == [1, 2, 3, 3, 5, 7]
    assert patch["age"] == 42
    assert torch.equal(patch["t1"].data, subject_of()["t1"].data[:, 1:3, 2:5, 3:7])


@pytest.mark.parametrize(
    "place", [np.array([1, 2, 3]), torch.tensor([1, 2, 3]), [1, 2, 3], tuple(torch.arange(1, 4))]
)
def test_a_place_may_be_an_array_or_a_tensor(place: Any) -> None:
    assert places(FixedSampler(2, place)(subject_of(), 1)) == [[1, 2, 3]]


@pytest.mark.parametrize("place", [(1, 2), (1.0, 2, 3), (True, 0, 0), None, 3, np.zeros((3, 1))])
def test_a_place_that_is_none_names_the_sampler(place: Any) -> None:
    message = "FixedSampler places a patch at its first voxel, three integers (i, j, k); got "
    with pytest.raises(SamplerError, match=re.escape(message)):
        next(FixedSampler(2, place)(subject_of()))


@pytest.mark.parametrize("place", [(-1, 0, 0), (0, 0, 6), (90, 0, 0)])
def test_a_place_outside_the_volume_is_an_error_never_an_empty_patch(place: Index3) -> None:
    message = f"FixedSampler places a patch from {place} to "
    with pytest.raises(SamplerError, match=re.escape(message)) as caught:
        next(FixedSampler(2, place)(subject_of()))
    assert "spatial shape (9, 8, 7); move it, or give a padding_mode" in str(caught.value)


def test_a_place_outside_the_volume_is_padded_if_asked_for() -> None:
    patch = next(FixedSampler(2, (-1, 0, 0), "constant")(subject_of()))
    assert patch["index_ini"].tolist() == [-1, 0, 0]
    assert patch["t1"].array[0, 0].tolist() == [[0, 0], [0, 0]]


@pytest.mark.parametrize("error", [PatchTooLargeError, RuntimeError, ValueError])
def test_a_patch_too_large_is_found_at_the_call(error: type[Exception]) -> None:
    message = "a patch of size (4, 9, 4) does not fit in subject 's1', whose spatial shape is"
    with pytest.raises(error, match=re.escape(message)):
        UniformSampler((4, 9, 4))(subject_of())


def test_images_that_share_no_space_are_found_at_the_call() -> None:
    seg = LabelMap(tensor=np.zeros((1, *SHAPE), dtype=np.uint8), affine=np.diag([1, 1, 2, 1]))
    with pytest.raises(SpaceMismatchError, match="image 'seg' of subject 's1' does not lie"):
        UniformSampler(2)(subject_of(seg=seg))


def test_what_is_no_subject_is_refused() -> None:
    with pytest.raises(SamplerError, match=r"takes a voxloom.Subject, got ScalarImage"):
        UniformSampler(2)(subject_of()["t1"])


@pytest.mark.parametrize("number", [-1, True, 2.0, "3"])
def test_numbers_of_patches_that_are_none_are_refused_at_the_call(number: Any) -> None:
    message = f"num_patches is 0 or more, or None for patches without end; got {number!r}"
    with pytest.raises(ValueError, match=re.escape(message)):
        UniformSampler(2)(subject_of(), num_patches=number)


def test_as_many_patches_come_as_asked_for() -> None:
    sampler, subject = UniformSampler(2), subject_of()
    assert len(list(sampler(subject, 0))) == 0
    assert len(list(sampler(subject, np.int64(3)))) == 3  # type: ignore[arg-type]
    assert len(list(islice(sampler(subject), 50))) == 50


def test_torch_manual_seed_makes_patches_repeat() -> None:
    sampler, subject = UniformSampler(2), subject_of()
    torch.manual_seed(3)
    first, other = places(sampler(subject, 9)), places(sampler(subject, 9))
    torch.manual_seed(3)
    assert places(sampler(subject, 9)) == first
    assert first != other


def test_torch_gives_one_seed_a_call_however_many_patches_follow() -> None:
    sampler, subject = UniformSampler(2), subject_of()
    states = []
    for count in (1, 9):
        torch.manual_seed(3)
        list(sampler(subject, count))
        states.append(torch.get_rng_state())
    assert torch.equal(*states)


def test_what_the_model_draws_between_patches_changes_nothing() -> None:
    sampler, subject = UniformSampler(2), subject_of()
    torch.manual_seed(3)
    undisturbed = places(sampler(subject, 9))
    torch.manual_seed(3)
    disturbed = []
    for patch in sampler(subject, 9):
        disturbed.append(patch["index_ini"].tolist())
        torch.rand(5)
        np.random.rand(5)  # noqa: NPY002 - the global stream is the point
    assert disturbed == undisturbed


def test_a_seed_or_a_generator_makes_patches_repeat() -> None:
    sampler, subject = UniformSampler(2), subject_of()
    assert places(sampler(subject, 9, rng=5)) == places(sampler(subject, 9, rng=5))
    assert places(sampler(subject, 9, rng=5)) != places(sampler(subject, 9, rng=6))
    rngs = [np.random.default_rng(0) for _ in range(2)]
    assert places(sampler(subject, 9, rng=rngs[0])) == places(sampler(subject, 9, rng=rngs[1]))
    assert rngs[0].random() == rngs[1].random()


@pytest.mark.parametrize("rng", [np.random.RandomState(0), 1.0, True, torch.Generator()])
def test_other_sources_of_randomness_are_refused(rng: Any) -> None:
    message = "rng is a numpy.random.Generator, an integer seed, or None; got"
    with pytest.raises(SamplerError, match=re.escape(message)):
        UniformSampler(2)(subject_of(), rng=rng)


def test_a_generator_of_32_bit_words_is_refused() -> None:
    with pytest.raises(SamplerError, match="MT19937 gives 32"):
        UniformSampler(2)(subject_of(), rng=np.random.Generator(np.random.MT19937(0)))


def test_what_a_transform_changed_and_added_is_in_the_patch() -> None:
    subject = subject_of()
    changed = subject.replace(
        t1=subject["t1"].with_data(subject["t1"].data * 2),
        edges=ScalarImage(tensor=np.ones((1, *SHAPE))),
        side="left",
    )
    patch = next(FixedSampler(2, (1, 2, 3))(changed))
    assert torch.equal(patch["t1"].data, subject["t1"].data[:, 1:3, 2:4, 3:5] * 2)
    assert patch["edges"].spatial_shape == (2, 2, 2)
    assert patch["side"] == "left"


def test_a_sampler_shows_its_arguments() -> None:
    assert repr(FixedSampler(2, 3, "edge")) == (
        "FixedSampler(patch_size=(2, 2, 2), padding_mode='edge', place=3)"
    )


@pytest.mark.parametrize("patch_size", [0, 4, 1.5])
@pytest.mark.parametrize("kind", [TypeError, ValueError])
def test_an_abstract_sampler_says_what_to_use_or_write(patch_size: Any, kind: Any) -> None:
    with pytest.raises(kind, match=r"PatchSampler is abstract.*UniformSampler.*method locate\("):
        PatchSampler(patch_size)


@pytest.mark.parametrize("base", [UniformSampler, WeightedSampler, LabelSampler])
@pytest.mark.parametrize("name", ["get_probability_map", "_generate_patches"])
def test_a_change_that_samplers_never_ask_for_is_refused(base: Any, name: str) -> None:
    for kind in (TypeError, ValueError):
        with pytest.raises(kind, match=rf"Mine overrides {name}, .*locate\(.*WeightedSampler\("):
            type("Mine", (base,), {name: lambda self, subject: None})
    moved = type("Moved", (base,), {"locate": lambda self, subject, rng: (0, 0, 0)})
    assert issubclass(moved, PatchSampler)
    assert type("Own", (PatchSampler,), {name: lambda self, subject: None})
