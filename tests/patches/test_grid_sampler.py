"""The grid sampler gives every patch of a subject, once and in order."""

import pickle

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from voxloom._errors import PaddingError, SpaceMismatchError
from voxloom.geometry import Box
from voxloom.patches import GridSampler, cut, grid_locations
from voxloom.subjects import LabelMap, ScalarImage, Subject


def make_subject(shape=(10, 9, 8), **more):
    voxels = np.arange(np.prod(shape), dtype=np.int32).reshape(1, *shape)
    return Subject(t1=ScalarImage(tensor=voxels), seg=LabelMap(tensor=voxels % 3), **more)


def test_patches_are_the_voxels_at_their_locations():
    subject = make_subject(age=42)
    sampler = GridSampler(subject, (4, 5, 6), (2, 0, 4))
    patches = list(sampler)
    assert len(patches) == len(sampler) == len(sampler.locations)
    for patch, location in zip(patches, sampler.locations.tolist(), strict=True):
        i, j, k, x, y, z = location
        assert patch["location"].tolist() == location
        assert patch["index_ini"].tolist() == location[:3]
        assert torch.equal(patch.t1.data, subject.t1.data[:, i:x, j:y, k:z])
        assert torch.equal(patch.seg.data, subject.seg.data[:, i:x, j:y, k:z])
        assert patch.t1.affine[:3, 3].tolist() == location[:3]
        assert patch.age == 42


def test_indexing_iterating_and_calling_agree():
    sampler = GridSampler(make_subject(), 5, 2)
    by_call = [patch["location"].tolist() for patch in sampler()]
    assert by_call == sampler.locations.tolist()
    assert by_call == [patch["location"].tolist() for patch in sampler]
    assert by_call == [sampler[n]["location"].tolist() for n in range(len(sampler))]
    assert by_call == [sampler[n - len(sampler)]["location"].tolist() for n in range(len(sampler))]


def test_an_index_past_either_end_raises():
    sampler = GridSampler(make_subject(), 8)
    assert len(sampler) == 4
    for number in (4, -5):
        with pytest.raises(IndexError, match=f"4 patches, there is no patch {number}"):
            sampler[number]


def test_sizes_are_kept_as_three_numbers():
    sampler = GridSampler(make_subject(), np.int64(6), 2, padding_mode="edge")
    assert sampler.patch_size == (6, 6, 6)
    assert sampler.patch_overlap == (2, 2, 2)
    assert sampler.padding_mode == "edge"


def test_padded_patches_are_those_of_a_padded_volume():
    subject = make_subject()
    padded = np.pad(subject.t1.array, [(0, 0), (2, 2), (1, 1), (0, 0)], mode="reflect")
    sampler = GridSampler(subject, (8, 6, 5), (4, 2, 0), padding_mode="reflect")
    assert sampler.locations.tolist() == grid_locations((14, 11, 8), (8, 6, 5), (4, 2, 0)).tolist()
    for patch, (i, j, k, x, y, z) in zip(sampler, sampler.locations.tolist(), strict=True):
        assert patch["location"].tolist() == [i, j, k, x, y, z]
        assert patch["index_ini"].tolist() == [i, j, k]
        assert np.array_equal(patch.t1.array, padded[:, i:x, j:y, k:z])
        assert patch.t1.affine[:3, 3].tolist() == [i - 2, j - 1, k]


def test_places_let_a_queue_cut_all_patches_of_a_subject():
    subject = make_subject((8, 8, 8))
    sampler = GridSampler(patch_size=4)
    assert len(set(sampler.places(subject.spatial_shape))) == 8
    sampler = GridSampler(subject, 4, 2, padding_mode=7)
    for place, patch in zip(sampler.places((8, 8, 8)), sampler, strict=True):
        same = cut(subject, Box.at(place, sampler.patch_size), sampler.padding_mode)
        assert torch.equal(same.t1.data, patch.t1.data)


def test_another_subject_may_be_given_at_the_call():
    sampler = GridSampler(patch_size=4)
    assert len(list(sampler(make_subject((8, 8, 4))))) == 4
    own = GridSampler(make_subject((8, 8, 8)), 4)
    assert len(list(own(make_subject((8, 4, 4))))) == 2


def test_a_sampler_without_a_subject_says_so():
    sampler = GridSampler(patch_size=4)
    for ask in (len, list, lambda s: s(), lambda s: s[0], lambda s: s.locations):
        with pytest.raises(ValueError, match="no subject"):
            ask(sampler)


def test_what_is_no_subject_is_refused_at_construction_and_at_the_call():
    for ask in (lambda: GridSampler("t1.nii", 4), lambda: GridSampler(patch_size=4)("t1.nii")):
        with pytest.raises(TypeError, match=r"takes a voxloom\.Subject, got str"):
            ask()


def test_a_plain_loader_batches_the_patches_in_order():
    sampler = GridSampler(make_subject((8, 8, 8)), 4)
    batches = list(DataLoader(sampler, batch_size=3))
    assert [tuple(batch["t1"]["data"].shape) for batch in batches] == [
        (3, 1, 4, 4, 4),
        (3, 1, 4, 4, 4),
        (2, 1, 4, 4, 4),
    ]
    assert torch.cat([b["location"] for b in batches]).tolist() == sampler.locations.tolist()


def test_checks_happen_at_the_call():
    subject = make_subject()
    with pytest.raises(ValueError, match=r"does not support limiting .*num_patches=3"):
        GridSampler(subject, 4)(num_patches=3)
    with pytest.raises(ValueError, match="does not fit"):
        GridSampler(patch_size=9)(subject)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"patch_size": 11}, "does not fit"),
        ({"patch_size": 0}, "positive"),
        ({"patch_size": None}, "positive"),
        ({"patch_size": 4, "patch_overlap": 4}, "smaller than the patch"),
        ({"patch_size": 4, "patch_overlap": 1}, "even"),
    ],
)
def test_sizes_that_cannot_be_used_raise_at_construction(arguments, message):
    with pytest.raises(ValueError, match=message):
        GridSampler(make_subject(), **arguments)


def test_an_unknown_padding_mode_raises_at_construction():
    with pytest.raises(PaddingError, match="wrap"):
        GridSampler(make_subject(), 4, padding_mode="wrap")


def test_images_that_do_not_share_a_space_raise_at_construction():
    voxels = np.zeros((1, 8, 8, 8), dtype=np.int16)
    moved = np.diag([1.0, 1.0, 2.0, 1.0])
    subject = Subject(a=ScalarImage(tensor=voxels), b=ScalarImage(tensor=voxels, affine=moved))
    with pytest.raises(SpaceMismatchError, match="does not lie"):
        GridSampler(subject, 4)


def test_a_small_volume_is_continued_to_the_patch_size_where_padding_is_allowed():
    (patch,) = GridSampler(make_subject((3, 3, 3)), 8, padding_mode="edge")
    assert patch.spatial_shape == (8, 8, 8)
    assert np.array_equal(patch.t1.array[:, 2:5, 2:5, 2:5], make_subject((3, 3, 3)).t1.array)


def test_a_sampler_survives_pickling_and_cannot_be_changed():
    sampler = pickle.loads(pickle.dumps(GridSampler(make_subject(), 5, 2, "constant")))
    assert len(list(sampler)) == len(sampler)
    with pytest.raises(AttributeError, match="patch_size"):
        sampler.patch_size = (3, 3, 3)
