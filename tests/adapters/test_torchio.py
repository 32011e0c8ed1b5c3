"""TorchIO's own transforms, on our subjects and by themselves: the same, at the same place."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchio as tio

from voxloom import (
    GridSampler,
    LabelMap,
    Queue,
    ScalarImage,
    Subject,
    SubjectsDataset,
    UniformSampler,
)
from voxloom._errors import TransformError
from voxloom.adapters import torchio as adapter
from voxloom.adapters.torchio import from_subject, to_subject, wrap

SEED = 2**40 + 17
LANDMARKS = {"t1": np.linspace(0, 100, 13), "t2": np.linspace(0, 100, 13)}


def double(subject: tio.Subject) -> tio.Subject:
    subject.t1.data.mul_(2)
    return subject


TRANSFORMS = [
    tio.ToCanonical(),
    tio.Resample(1.7),
    pytest.param(tio.Resample("t1"), id="Resample to an image"),
    tio.Resize((16, 18, 20)),
    tio.EnsureShapeMultiple(8),
    tio.CropOrPad((16, 30, 22)),
    pytest.param(tio.CropOrPad(12, mask_name="seg"), id="CropOrPad around a mask"),
    tio.Crop(2),
    tio.Pad(3, padding_mode="reflect"),
    tio.Transpose(),
    tio.CopyAffine("t1"),
    tio.RescaleIntensity((0, 1), percentiles=(1, 99)),
    tio.ZNormalization(masking_method="seg"),
    tio.Clamp(50, 150),
    tio.HistogramStandardization(LANDMARKS),
    tio.Mask("seg"),
    tio.RandomFlip(("R", "A"), flip_probability=0.8),
    tio.RandomAffine(scales=0.1, degrees=10, translation=3),
    tio.RandomElasticDeformation(max_displacement=2, num_control_points=5),
    tio.RandomAnisotropy(),
    tio.RandomMotion(),
    tio.RandomGhosting(),
    tio.RandomSpike(),
    tio.RandomBiasField(),
    tio.RandomBlur(),
    tio.RandomNoise(std=5),
    tio.RandomSwap(patch_size=4, num_iterations=5),
    tio.RandomGamma(),
    tio.RandomLabelsToImage(label_key="seg", image_key="made"),
    tio.RemapLabels({1: 5}),
    tio.RemoveLabels([2]),
    tio.SequentialLabels(),
    tio.OneHot(3),
    tio.KeepLargestComponent(),
    tio.Contour(),
    tio.Lambda(torch.neg, types_to_apply=[tio.INTENSITY]),
    pytest.param(tio.ZNormalization(copy=False), id="in place"),
    tio.OneOf({tio.RandomBlur(): 1, tio.RandomNoise(std=9): 1}),
    tio.Compose([tio.ToCanonical(), tio.RandomAffine(), tio.RandomNoise(std=2)]),
    double,
]


def by_itself(transform: Any, subject: Subject) -> tio.Subject:
    kinds = {"intensity": tio.ScalarImage, "label": tio.LabelMap}
    images = {
        name: kinds[image.type](tensor=torch.from_numpy(image.array.copy()), affine=image.affine)
        for name, image in subject.get_images_dict(intensity_only=False).items()
    }
    theirs = tio.Subject(**images, age=subject["age"])
    torch.manual_seed(SEED)
    return transform(theirs)


def name(transform: Any) -> str:
    return getattr(transform, "__name__", type(transform).__name__)


@pytest.mark.parametrize("kind", ["volume", "patch"])
@pytest.mark.parametrize("transform", TRANSFORMS, ids=name)
def test_a_transform_gives_what_it_gives_by_itself(
    transform: Any, kind: str, subject: Subject
) -> None:
    if kind == "patch":
        subject = UniformSampler((16, 18, 14)).extract_patch(subject, (2, 3, 5))
    before = {n: i.array.copy() for n, i in subject.get_images_dict(intensity_only=False).items()}
    changed = wrap(transform)(subject, rng=SEED)
    expected = by_itself(transform, subject)
    assert set(changed) == {*subject, *expected}
    for key, image in expected.items():
        if isinstance(image, tio.Image):
            np.testing.assert_array_equal(changed[key].array, image.numpy())
            np.testing.assert_array_equal(changed[key].affine, image.affine)
            assert changed[key].type == image.type
    assert changed.age == 42
    assert changed.t1["scanner"] == "A"
    if kind == "patch":
        assert changed["location"].tolist() == [2, 3, 5, 18, 21, 19]
    for key, voxels in before.items():
        np.testing.assert_array_equal(subject[key].array, voxels)


def test_global_generators_are_where_they_were(subject: Subject) -> None:
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    wrap(tio.RandomNoise())(subject, rng=1)
    assert torch.rand(1) == expected


def test_without_rng_the_seed_of_torch_decides(subject: Subject) -> None:
    transform = wrap(tio.RandomNoise())
    torch.manual_seed(5)
    first, second = transform(subject).t1.array, transform(subject).t1.array
    torch.manual_seed(5)
    np.testing.assert_array_equal(transform(subject).t1.array, first)
    assert not np.array_equal(first, second)


def test_a_wrapped_transform_can_be_pickled(subject: Subject) -> None:
    transform = wrap(tio.Compose([tio.RandomAffine(), tio.RandomNoise()]))
    again = pickle.loads(pickle.dumps(transform))
    np.testing.assert_array_equal(
        again(subject, rng=4).t1.array, transform(subject, rng=4).t1.array
    )


def test_conversion_shares_memory_both_ways(subject: Subject) -> None:
    theirs = from_subject(subject)
    again = to_subject(theirs)
    for key in ("t1", "seg"):
        pointer = subject[key].data.data_ptr()
        assert theirs[key].data.data_ptr() == again[key].data.data_ptr() == pointer
        np.testing.assert_array_equal(again[key].affine, subject[key].affine)
        assert again[key].type == subject[key].type == theirs[key].type
    assert again.age == theirs["age"] == 42
    assert again.t1["scanner"] == theirs.t1["scanner"] == "A"


def test_an_image_of_theirs_that_is_on_disk_stays_there(tmp_path: Path) -> None:
    path = tmp_path / "t1.nii.gz"
    ScalarImage(tensor=np.arange(8, dtype=np.float32).reshape(1, 2, 2, 2)).save(path)
    theirs = tio.Subject(t1=tio.ScalarImage(path), seg=tio.LabelMap(path), age=3)
    ours = to_subject(theirs)
    assert not ours.t1.is_loaded
    assert ours.t1.path == path
    assert isinstance(ours.seg, LabelMap)
    np.testing.assert_array_equal(ours.t1.array, theirs.t1.numpy())


def test_a_reader_of_their_image_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "voxels.npy"
    np.save(path, np.ones((1, 2, 3, 4), dtype=np.float32))
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    theirs = tio.ScalarImage(path, reader=lambda file: (torch.from_numpy(np.load(file)), affine))
    ours = to_subject(tio.Subject(t1=theirs))
    assert ours.t1.shape == (1, 2, 3, 4)
    np.testing.assert_array_equal(ours.t1.affine, affine)


def test_a_sampling_map_stays_one() -> None:
    weights = tio.Image(tensor=torch.ones(1, 2, 2, 2), type=tio.SAMPLING_MAP)
    assert to_subject(tio.Subject(weights=weights)).weights.type == "sampling_map"
    assert from_subject(to_subject(tio.Subject(weights=weights))).weights.type == "sampling_map"


def test_what_is_no_transform_is_refused() -> None:
    with pytest.raises(TransformError, match="a transform is callable, got str"):
        wrap("RandomFlip")  # type: ignore[arg-type]


def test_a_transform_that_gives_no_subject_is_named(subject: Subject) -> None:
    with pytest.raises(TransformError, match=r"should give a torchio.Subject, got NoneType"):
        wrap(lambda _: None)(subject)


def test_an_image_that_a_transform_removes_is_gone(subject: Subject) -> None:
    def remove(theirs: tio.Subject) -> tio.Subject:
        theirs.remove_image("t2")
        return theirs

    assert set(adapter.wrap(remove)(subject)) == {"t1", "seg", "age", "site"}


@pytest.mark.parametrize(
    "use",
    [
        lambda subject: SubjectsDataset([subject]),
        lambda subject: Queue(tio.SubjectsDataset([subject]), 4, 2, UniformSampler(4)),
        lambda subject: UniformSampler(4)(subject),
        lambda subject: GridSampler(subject, 4),
    ],
    ids=["data set", "queue", "sampler", "grid"],
)
def test_a_subject_of_torchio_is_told_what_makes_one_of_ours(subject: Subject, use: Any) -> None:
    with pytest.raises(ValueError, match=r"a Subject of TorchIO; voxloom\.Subject\.from_torchio"):
        use(from_subject(subject))
