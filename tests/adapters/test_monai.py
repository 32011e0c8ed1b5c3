"""MONAI's own transforms, on our subjects and by themselves: the same, at the same place."""

import pickle
from pathlib import Path
from typing import Any

import monai.transforms as mt
import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.transforms.lazy.functional import apply_pending_transforms

from voxloom import LabelMap, ScalarImage, Subject, UniformSampler
from voxloom._errors import SubjectError, TransformError, UnknownImageError
from voxloom.adapters.monai import from_subject, to_subject, wrap

SEED = 2**40 + 17
BOTH, ALL = ["t1", "t2"], ["t1", "t2", "seg"]
MODES = ["bilinear", "bilinear", "nearest"]

TRANSFORMS = [
    mt.Orientationd(ALL, axcodes="LPS", labels=None),
    mt.Spacingd(ALL, pixdim=(2, 2, 2), mode=MODES),
    mt.ResampleToMatchd(["t2", "seg"], key_dst="t1", mode=["bilinear", "nearest"]),
    mt.Resized(ALL, (16, 18, 20), mode=["area", "area", "nearest"]),
    mt.Zoomd(ALL, zoom=1.2, mode=["area", "area", "nearest"]),
    mt.Flipd(ALL, spatial_axis=1),
    mt.Rotate90d(ALL),
    mt.Rotated(ALL, angle=(0.1, 0.2, 0.0), mode=MODES),
    mt.Affined(ALL, rotate_params=(0.1, 0, 0), mode=MODES),
    mt.CropForegroundd(ALL, source_key="seg", allow_smaller=True),
    mt.CenterSpatialCropd(ALL, roi_size=(10, 12, 14)),
    mt.SpatialPadd(ALL, (26, 26, 26)),
    mt.DivisiblePadd(ALL, 8),
    mt.ResizeWithPadOrCropd(ALL, (16, 30, 22)),
    mt.ScaleIntensityd(BOTH),
    mt.ScaleIntensityRanged(BOTH, 0, 200, 0, 1, clip=True),
    mt.ScaleIntensityRangePercentilesd(BOTH, 1, 99, 0, 1),
    mt.NormalizeIntensityd(BOTH, nonzero=True),
    mt.ThresholdIntensityd(BOTH, 50),
    mt.GaussianSmoothd(BOTH, sigma=1),
    mt.MedianSmoothd(BOTH, radius=1),
    mt.AsDiscreted(["seg"], to_onehot=3),
    mt.FillHolesd(["seg"]),
    mt.LabelToMaskd(["seg"], select_labels=[2]),
    mt.MaskIntensityd(BOTH, mask_key="seg"),
    mt.CastToTyped(BOTH, torch.float16),
    mt.EnsureTyped(ALL, track_meta=False),
    mt.ToNumpyd(ALL),
    mt.ConcatItemsd(BOTH, name="both"),
    mt.CopyItemsd(["seg"], names=["copy"]),
    mt.DeleteItemsd(["t2"]),
    mt.SelectItemsd(["t1", "seg", "age", "site"]),
    mt.Lambdad(["t1"], func=torch.neg),
    mt.RandFlipd(ALL, prob=0.8, spatial_axis=[0, 2]),
    mt.RandAxisFlipd(ALL, prob=1),
    mt.RandRotate90d(ALL, prob=1),
    mt.RandRotated(ALL, range_x=0.3, prob=1, mode=MODES),
    mt.RandZoomd(ALL, prob=1, mode=["area", "area", "nearest"]),
    mt.RandAffined(ALL, prob=1, rotate_range=0.2, translate_range=2, scale_range=0.1, mode=MODES),
    mt.Rand3DElasticd(ALL, (2, 3), (1, 5), prob=1, mode=MODES),
    mt.RandGridDistortiond(ALL, prob=1, mode=MODES),
    mt.RandSpatialCropd(ALL, roi_size=12, random_size=False),
    mt.RandCropByPosNegLabeld(ALL, label_key="seg", spatial_size=[12] * 3, num_samples=1),
    mt.RandGaussianNoised(BOTH, prob=1, std=5),
    mt.RandGaussianSmoothd(BOTH, prob=1),
    mt.RandScaleIntensityd(BOTH, factors=0.3, prob=1),
    mt.RandShiftIntensityd(BOTH, offsets=10, prob=1),
    mt.RandAdjustContrastd(BOTH, prob=1),
    mt.RandBiasFieldd(BOTH, prob=1),
    mt.RandGibbsNoised(BOTH, prob=1),
    mt.RandKSpaceSpikeNoised(BOTH, prob=1),
    mt.RandRicianNoised(BOTH, prob=1, std=5),
    mt.RandHistogramShiftd(BOTH, prob=1),
    mt.RandCoarseDropoutd(BOTH, holes=3, spatial_size=4, prob=1),
    mt.RandCoarseShuffled(BOTH, holes=3, spatial_size=4, prob=1),
    mt.RandSimulateLowResolutiond(BOTH, prob=1),
    mt.OneOf([mt.RandGaussianNoised(BOTH, prob=1), mt.RandAdjustContrastd(BOTH, prob=1)]),
    mt.Compose([mt.Orientationd(ALL, axcodes="RAS", labels=None), mt.RandAffined(ALL, prob=1)]),
    pytest.param(
        mt.Compose([mt.Flipd(ALL, 0), mt.RandAffined(ALL, prob=1, rotate_range=1)], lazy=True),
        id="lazy Compose",
    ),
    pytest.param(mt.Rotated(ALL, angle=(0.1, 0.2, 0.0), mode=MODES, lazy=True), id="lazy Rotated"),
]


def by_itself(transform: Any, subject: Subject) -> dict[str, Any]:
    items: dict[str, Any] = {"age": subject["age"], "site": subject["site"]}
    for name, image in subject.get_images_dict(intensity_only=False).items():
        voxels = torch.from_numpy(image.array.copy())
        items[name] = MetaTensor(voxels, affine=torch.from_numpy(image.affine))
    if hasattr(transform, "set_random_state"):
        transform.set_random_state(seed=SEED % 2**32)
    torch.manual_seed(SEED)
    np.random.seed(SEED % 2**32)  # noqa: NPY002 - some of MONAI's transforms draw from it
    changed = transform(items)
    [changed] = changed if isinstance(changed, list) else [changed]
    return apply_pending_transforms(changed, tuple(changed))


def name(transform: Any) -> str:
    return type(transform).__name__


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # MONAI's own
@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("kind", ["volume", "patch"])
@pytest.mark.parametrize("transform", TRANSFORMS, ids=name)
def test_a_transform_gives_what_it_gives_by_itself(
    transform: Any, kind: str, subject: Subject
) -> None:
    if kind == "patch":
        subject = UniformSampler((16, 18, 14)).extract_patch(subject, (2, 3, 5))
    before = {n: i.array.copy() for n, i in subject.get_images_dict(intensity_only=False).items()}
    expected = by_itself(transform, subject)
    changed = wrap(transform)(subject, rng=SEED)
    images = {n: v for n, v in expected.items() if getattr(v, "ndim", 0) == 4}
    assert set(changed.get_images_names()) == images.keys() >= {"t1", "seg"}
    for key, tensor in images.items():
        np.testing.assert_array_equal(changed[key].array, np.asarray(tensor))
        affine = tensor.affine if isinstance(tensor, MetaTensor) else subject[key].affine
        np.testing.assert_array_equal(changed[key].affine, np.asarray(affine))
    assert (changed.age, changed.site, changed.t1["scanner"]) == (42, "north", "A")
    assert changed.seg.type == "label"
    if kind == "patch" and not isinstance(transform, mt.SelectItemsd):
        assert changed["location"].tolist() == [2, 3, 5, 18, 21, 19]
    for key, voxels in before.items():
        np.testing.assert_array_equal(subject[key].array, voxels)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16])
@pytest.mark.parametrize(
    "transform",
    [
        mt.ShiftIntensityd("image", offset=50.5),
        mt.Lambdad("image", lambda voxels: voxels - 230),
        mt.ScaleIntensityRangePercentilesd("image", 5, 95, 0, 1),
    ],
    ids=name,
)
def test_a_file_of_whole_numbers_gives_what_monai_makes_of_it(
    transform: Any, dtype: type[np.integer[Any]], tmp_path: Path
) -> None:
    path = tmp_path / "image.nii"
    ScalarImage(tensor=np.arange(192, 256, dtype=dtype).reshape(1, 4, 4, 4)).save(path)
    reads = mt.LoadImaged("image", ensure_channel_first=True)
    expected = mt.Compose([reads, transform])({"image": path})["image"]
    subject = Subject(image=ScalarImage(path), seg=LabelMap(path))
    changed = wrap(mt.Compose([transform]))(subject, rng=0)
    np.testing.assert_array_equal(changed.image.array, np.asarray(expected))
    by_array = wrap(mt.ShiftIntensity(offset=0.5), keys=["image"])(subject, rng=0)
    np.testing.assert_array_equal(by_array.image.array, subject.image.array + 0.5)
    dtypes = {changed.seg.array.dtype, by_array.seg.array.dtype, subject.image.array.dtype}
    assert (changed.image.array.dtype, dtypes) == (np.float32, {np.dtype(dtype)})


def test_an_array_transform_leaves_other_images_as_they_are() -> None:
    voxels = np.ones((1, 2, 2, 2), np.int16)
    subject = Subject(t1=ScalarImage(tensor=voxels), t2=ScalarImage(tensor=voxels))
    changed = wrap(mt.ScaleIntensity(), keys=["t1"])(subject, rng=0)
    assert (changed.t1.array.dtype, changed.t2.array.dtype) == (np.float32, np.int16)


def test_an_array_transform_is_called_for_the_images_it_is_for(subject: Subject) -> None:
    changed = wrap(mt.RandFlip(prob=1, spatial_axis=0), keys=["t1", "seg"])(subject, rng=1)
    np.testing.assert_array_equal(changed.t1.array, subject.t1.array[:, ::-1])
    np.testing.assert_array_equal(changed.seg.array, subject.seg.array[:, ::-1])
    assert changed.t2 is not None
    np.testing.assert_array_equal(changed.t2.array, subject.t2.array)
    np.testing.assert_allclose(changed.t1.affine, changed.seg.affine)


def test_an_array_transform_has_the_same_randomness_for_each_image(subject: Subject) -> None:
    turn = mt.Compose([mt.RandRotate(range_x=1, prob=1), mt.RandFlip(prob=0.5)])
    same = subject.replace(t2=subject.t1)
    changed = wrap(turn, keys=["t1", "t2"])(same, rng=3)
    np.testing.assert_array_equal(changed.t1.array, changed.t2.array)
    assert not np.array_equal(changed.t1.array, subject.t1.array)


def test_a_copied_label_map_is_a_label_map(subject: Subject) -> None:
    assert wrap(mt.CopyItemsd(["seg"], names=["copy"]))(subject).copy.type == "label"


def test_a_wrapped_transform_can_be_pickled(subject: Subject) -> None:
    transform = wrap(mt.Compose([mt.RandAffined(ALL, prob=1), mt.RandGaussianNoised(["t1"])]))
    again = pickle.loads(pickle.dumps(transform))
    np.testing.assert_array_equal(
        again(subject, rng=4).t1.array, transform(subject, rng=4).t1.array
    )


def test_two_draws_differ_and_each_can_be_repeated(subject: Subject) -> None:
    transform = wrap(mt.RandGaussianNoised(["t1"], prob=1))
    first, second, again = (transform(subject, rng=seed).t1.array for seed in (1, 2, 1))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, second)


def test_conversion_shares_memory_both_ways(subject: Subject) -> None:
    items = from_subject(subject)
    again = to_subject(items)
    for key in ("t1", "seg"):
        pointer = subject[key].data.data_ptr()
        assert items[key].data_ptr() == again[key].data.data_ptr() == pointer
        np.testing.assert_array_equal(items[key].affine.numpy(), subject[key].affine)
        np.testing.assert_array_equal(again[key].affine, subject[key].affine)
        assert again[key].type == subject[key].type
    assert items["t1"].meta["scanner"] == "A"
    assert again.age == items["age"] == 42


def test_a_file_is_known_to_monai_by_its_name(tmp_path: Any) -> None:
    path = tmp_path / "t1.nii"
    ScalarImage(tensor=np.ones((1, 2, 2, 2), dtype=np.float32)).save(path)
    items = from_subject(Subject(t1=ScalarImage(path)))
    assert items["t1"].meta["filename_or_obj"] == str(path)


def test_a_channel_is_there_for_those_who_ensure_it(subject: Subject) -> None:
    changed = wrap(mt.EnsureChannelFirstd(ALL))(subject, rng=0)
    assert changed.t1.shape == subject.t1.shape
    np.testing.assert_array_equal(changed.t1.array, subject.t1.array)


@pytest.mark.parametrize(
    ("reads", "keys"),
    [
        (mt.Compose([mt.LoadImaged(["t1", "seg"]), mt.ScaleIntensityd(["t1"])]), None),
        (mt.LoadImaged("t1"), None),
        (mt.LoadImage(), ["t1"]),
    ],
    ids=["Compose", "alone", "array"],
)
def test_reading_what_is_read_is_told_to_be_left_out(
    reads: Any, keys: list[str] | None, subject: Subject
) -> None:
    with pytest.raises(TransformError, match=r"leave LoadImaged? out: ScalarImage\(path\)"):
        wrap(reads, keys)(subject, rng=0)


def test_an_error_of_a_transform_is_its_own(subject: Subject) -> None:
    def fail(tensor: torch.Tensor) -> torch.Tensor:
        raise KeyError("not today")

    with pytest.raises(KeyError, match="not today"):
        wrap(mt.Lambdad("t1", fail))(subject, rng=0)


def test_the_error_of_a_compose_names_the_part_and_the_reason(subject: Subject) -> None:
    scale = mt.ScaleIntensityRangePercentilesd("seg", 5, 95, 0, 1)
    message = r"applying transform <.*ScaleIntensityRangePercentilesd.*: RuntimeError: quantile\(\)"
    for transform in (mt.Compose([scale]), mt.Compose([mt.OneOf([scale])])):
        with pytest.raises(RuntimeError, match=message):
            wrap(transform)(subject, rng=0)


def test_plain_tensors_are_no_images_by_themselves() -> None:
    with pytest.raises(TransformError, match=r"\['t1'\] are no MetaTensors.*set_track_meta"):
        to_subject({"t1": torch.zeros(1, 2, 2, 2), "age": 3})


def test_a_class_is_not_a_transform() -> None:
    with pytest.raises(TransformError, match=r"wrap\(ScaleIntensityd\(\.\.\.\)\)"):
        wrap(mt.ScaleIntensityd)


def test_an_array_transform_needs_keys(subject: Subject) -> None:
    with pytest.raises(TransformError, match=r"ScaleIntensity takes arrays.*ScaleIntensityd\("):
        wrap(mt.ScaleIntensity())
    with pytest.raises(TransformError, match="takes arrays"):
        wrap(mt.Compose([mt.ScaleIntensity()]))
    with pytest.raises(UnknownImageError, match="has no image 'flair'"):
        wrap(mt.ScaleIntensity(), keys=["flair"])(subject)


def test_a_dictionary_transform_has_keys_of_its_own() -> None:
    with pytest.raises(TransformError, match="ScaleIntensityd takes dictionaries"):
        wrap(mt.ScaleIntensityd(["t1"]), keys=["t1"])


def test_several_patches_from_a_transform_are_refused(subject: Subject) -> None:
    crops = mt.RandSpatialCropSamplesd(ALL, roi_size=8, num_samples=3, random_size=False)
    with pytest.raises(TransformError, match=r"one dictionary, got list \(3 dictionaries\)"):
        wrap(crops)(subject)


def test_a_changed_shape_without_an_affine_is_refused(subject: Subject) -> None:
    def crop(items: dict[str, Any]) -> dict[str, Any]:
        return {**items, "t1": items["t1"].as_tensor()[:, 2:]}

    with pytest.raises(TransformError, match=r"'t1' came back without an affine.*set_track_meta"):
        wrap(crop)(subject)


@pytest.mark.parametrize(
    ("transform", "dimensions"),
    [(mt.EnsureChannelFirstd("t1", channel_dim="no_channel"), 5), (mt.SqueezeDimd("t1"), 3)],
    ids=["5", "3"],
)
def test_a_dimension_more_or_less_is_refused(
    transform: Any, dimensions: int, subject: Subject
) -> None:
    message = rf"'t1' came back with {dimensions} dimensions.*instead of the 4 of.*leave out"
    with pytest.raises(TransformError, match=message):
        wrap(transform)(subject, rng=0)


def test_what_is_no_transform_is_refused(subject: Subject) -> None:
    with pytest.raises(TransformError, match="a transform is callable, got list"):
        wrap([mt.ScaleIntensityd(["t1"])])  # type: ignore[arg-type]
    with pytest.raises(SubjectError, match=r"what Flipd is called with.*got dict"):
        wrap(mt.Flipd(["t1"]))({})  # type: ignore[arg-type]
