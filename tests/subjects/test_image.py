"""Images: what they are made of, what they tell, and that they stay as they are."""

import copy
import pickle
import warnings
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from voxloom._errors import GeometryError, VolumeReadError
from voxloom.geometry import Box
from voxloom.io import ArraySource, write_nifti
from voxloom.subjects import Image, LabelMap, ScalarImage

Voxels = np.ndarray[Any, Any]


class CountingReader:
    """A reader of the user that counts how often it is called."""

    def __init__(self, voxels: Voxels) -> None:
        self.voxels = voxels
        self.paths: list[Path] = []

    def __call__(self, path: Path) -> tuple[Voxels, None]:
        self.paths.append(path)
        return self.voxels, None


def test_the_header_is_told_without_decoding_a_voxel(write: Any, affine: Voxels) -> None:
    image = ScalarImage(write("t1.nii.gz", damaged=True))
    assert image.shape == (2, 6, 7, 8)
    assert image.spatial_shape == (6, 7, 8)
    assert image.num_channels == 2
    assert image.spacing == pytest.approx((1.5, 2, 3))
    assert image.orientation == ("A", "L", "S")
    assert image.orientation_str == "ALS"
    assert image.dtype == np.int16
    assert image.affine.dtype == np.float64
    assert image.affine == pytest.approx(affine)
    assert image["type"] == "intensity"
    assert "data" in image
    assert "shape: (2, 6, 7, 8)" in repr(image)
    assert not image.is_loaded
    with pytest.raises(OSError, match=r"t1\.nii\.gz"):
        _ = image.data


def test_making_an_image_does_not_open_its_file(voxels: Voxels, tmp_path: Path) -> None:
    (tmp_path / "scan.xyz").touch()
    reader = CountingReader(voxels)
    image = ScalarImage(tmp_path / "scan.xyz", reader=reader)
    assert reader.paths == []
    assert (image.array == voxels).all()
    read = len(reader.paths)
    _ = image.data, image.array, image["data"], image.shape
    assert len(reader.paths) == read
    assert set(reader.paths) == {tmp_path / "scan.xyz"}


def test_data_is_a_tensor_over_the_memory_of_array(write: Any, voxels: Voxels) -> None:
    for image in (ScalarImage(write()), ScalarImage(tensor=voxels)):
        assert isinstance(image.data, torch.Tensor)
        image.data[0, 1, 2, 3] = -5
        assert image.array[0, 1, 2, 3] == image["data"][0, 1, 2, 3] == -5
        assert image.numpy() is image.array
        assert image.tensor.data_ptr() == image.data.data_ptr()


def test_data_is_one_tensor_until_the_voxels_are_others(write: Any) -> None:
    image = ScalarImage(write())
    first = image.data
    assert image.data is first is image.tensor is image["data"]
    assert copy.deepcopy(image).data is not first
    image.unload()
    assert not image._loaded
    assert image.data is not first
    assert torch.equal(image.data, first)
    assert pickle.loads(pickle.dumps(image)).data is not first


def test_numpy_takes_an_image_as_its_voxels(voxels: Voxels) -> None:
    image = ScalarImage(tensor=voxels)
    assert np.shares_memory(np.asarray(image), voxels)
    assert not np.shares_memory(np.array(image), voxels)
    assert np.asarray(image, dtype=np.float64).dtype == np.float64
    assert np.allclose(np.mean(image), voxels.mean())


def test_a_tensor_or_array_is_not_copied(voxels: Voxels) -> None:
    tensor = torch.zeros(1, 4, 5, 6)
    assert ScalarImage(tensor=tensor).data.data_ptr() == tensor.data_ptr()
    assert np.shares_memory(ScalarImage(tensor=voxels).array, voxels)


def test_items_are_those_of_the_field(write: Any, voxels: Voxels, affine: Voxels) -> None:
    path = write("sub-01_t1.nii.gz")
    image = ScalarImage(str(path), scanner="B")
    assert (image["data"].numpy() == voxels).all()
    assert image["affine"] == pytest.approx(affine)
    assert (image["type"], image["path"], image["stem"]) == ("intensity", str(path), "sub-01_t1")
    assert image["scanner"] == "B"
    assert set(image) == {"data", "affine", "type", "path", "stem", "scanner"}
    assert len(image) == 6
    assert image.get("nothing", 3) == 3
    assert image.path == path


def test_an_image_in_memory_has_no_path(voxels: Voxels) -> None:
    image = ScalarImage(tensor=voxels)
    assert (image.path, image["path"], image["stem"]) == (None, "", "")


def test_an_unknown_item_is_a_key_error_that_names_those_there_are(voxels: Voxels) -> None:
    with pytest.raises(KeyError, match=r"'affine'.*not 'age'"):
        _ = ScalarImage(tensor=voxels)["age"]


def test_several_paths_are_the_channels(write: Any, voxels: Voxels) -> None:
    paths = [write("a.nii", voxels), write("b.nii.gz", voxels[:1] + 1)]
    image = ScalarImage(paths)
    assert image.shape == (3, 6, 7, 8)
    assert image["stem"] == ["a", "b"]
    assert image["path"] == [str(path) for path in paths]
    assert (image.array == np.concatenate([voxels, voxels[:1] + 1])).all()


def test_a_flat_array_file_has_one_slice(tmp_path: Path) -> None:
    np.save(tmp_path / "slice.npy", np.ones((5, 6), dtype=np.float32))
    image = ScalarImage(tmp_path / "slice.npy")
    assert image.shape == (1, 5, 6, 1)
    assert image.is_2d()
    assert not ScalarImage(tensor=torch.zeros(1, 2, 2, 2)).is_2d()


@pytest.mark.parametrize(("narrow", "wide"), [("uint16", "int32"), ("uint32", "int64")])
def test_types_that_torch_hardly_knows_are_widened(
    narrow: str, wide: str, write: Any, tmp_path: Path
) -> None:
    array = np.full((1, 2, 2, 2), np.iinfo(narrow).max, dtype=narrow)
    np.save(tmp_path / "wide.npy", array)
    source = ArraySource(array)
    for image in (
        ScalarImage(tensor=array),
        ScalarImage(write("wide.nii", array)),
        ScalarImage(tmp_path / "wide.npy"),
        ScalarImage.from_source(source),
    ):
        assert image.dtype == image.read().dtype == image.array.dtype == np.dtype(wide)
        assert int(image.data.max()) == np.iinfo(narrow).max


@pytest.mark.parametrize(
    ("kind", "given", "expected"),
    [
        (Image, None, "intensity"),
        (Image, "label", "label"),
        (Image, "sampling_map", "sampling_map"),
        (ScalarImage, None, "intensity"),
        (LabelMap, None, "label"),
        (LabelMap, "label", "label"),
    ],
)
def test_type(kind: type[Image], given: Any, expected: str, voxels: Voxels) -> None:
    assert kind(tensor=voxels, type=given).type == expected


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        (ScalarImage, {}, "a path or a tensor, and not both"),
        (ScalarImage, {"path": "a.nii", "tensor": np.ones((1, 2, 2, 2))}, "and not both"),
        (ScalarImage, {"tensor": np.ones((2, 2, 2))}, r"four axes.*\(2, 2, 2\).*volume\[None\]"),
        (ScalarImage, {"tensor": [1, 2]}, "tensor or an array .* got list"),
        (ScalarImage, {"tensor": np.ones((1, 2, 2, 2)), "affine": 1}, "4x4 matrix, got 1"),
        (ScalarImage, {"path": 5}, "text, a path object or a list of them, got 5"),
        (ScalarImage, {"path": []}, r"got \[\]"),
        (ScalarImage, {"path": ["a.nii", 5], "verify_path": False}, "path object, got 5"),
        (ScalarImage, {"path": "a.nii", "verify_path": False, "reader": 3}, "reader.*got 3"),
        (ScalarImage, {"tensor": np.ones((1, 2, 2, 2)), "type": "label"}, "use Image"),
        (Image, {"tensor": np.ones((1, 2, 2, 2)), "type": "mask"}, "one of .*got 'mask'"),
        (Image, {"tensor": np.ones((1, 2, 2, 2)), "data": 3}, "'data'.*tensor="),
    ],
)
@pytest.mark.parametrize("builtin", [ValueError, TypeError])
def test_what_makes_no_image_is_refused(
    kind: type[Image], options: dict[str, Any], message: str, builtin: type[Exception]
) -> None:
    with pytest.raises(builtin, match=message):
        kind(**options)


@pytest.mark.parametrize("path", ["missing.nii", ["missing.nii"], Path("missing.nii.gz")])
def test_a_missing_file_is_an_error_when_the_image_is_made(path: Any) -> None:
    with pytest.raises(FileNotFoundError, match=r"missing\.nii.*verify_path=False"):
        ScalarImage(path)


def test_a_missing_file_can_be_looked_for_later(write: Any, tmp_path: Path) -> None:
    image = ScalarImage(tmp_path / "later.nii", verify_path=False)
    assert "unreadable" in repr(image)
    with pytest.raises(FileNotFoundError, match=r"later\.nii"):
        _ = image.shape
    write("later.nii")
    assert image.shape == (2, 6, 7, 8)


def test_a_file_of_unknown_kind_has_a_repr(tmp_path: Path) -> None:
    (tmp_path / "scan.xyz").touch()
    assert "no reader is known" in repr(ScalarImage(tmp_path / "scan.xyz"))


@pytest.mark.parametrize("name", ["data", "affine", "type", "note"])
def test_assigning_raises_and_names_the_remedy(name: str, voxels: Voxels) -> None:
    image = ScalarImage(tensor=voxels)
    with pytest.raises(AttributeError, match=rf"{name} cannot be assigned.*subject\.replace"):
        setattr(image, name, 3)
    with pytest.raises(TypeError, match=rf"{name}' cannot be assigned.*image\.with_data"):
        image[name] = 3  # type: ignore[index]
    with pytest.raises(TypeError, match="frozen"):
        del image[name]  # type: ignore[attr-defined]
    with pytest.raises(AttributeError, match=f"frozen: {name} cannot be deleted"):
        delattr(image, name)


def test_what_affine_returns_is_a_copy(voxels: Voxels) -> None:
    image = ScalarImage(tensor=voxels)
    image.affine[0, 0] = 9
    assert image.affine[0, 0] == 1


def test_an_affine_given_wins_over_the_file(write: Any) -> None:
    image = ScalarImage(write(), affine=np.diag([4, 4, 4, 1]))
    assert image.spacing == (4, 4, 4)
    assert image.with_data(np.zeros((1, 2, 2, 2))).spacing == (4, 4, 4)


def test_with_data_keeps_kind_metadata_place_and_path(write: Any, affine: Voxels) -> None:
    image = LabelMap(write(), rater="C")
    changed = image.with_data(torch.ones(3, 6, 7, 8))
    assert isinstance(changed, LabelMap)
    assert (changed["rater"], changed.path, changed.shape) == ("C", image.path, (3, 6, 7, 8))
    assert changed.affine == pytest.approx(affine)
    assert image.shape == (2, 6, 7, 8)
    assert image.with_data(image.data, np.eye(4)).spacing == (1, 1, 1)


def test_slicing_crops_and_moves_the_affine(write: Any, voxels: Voxels, affine: Voxels) -> None:
    for image in (ScalarImage(write()), ScalarImage(tensor=voxels, affine=affine)):
        cropped = image[1:5, 2:-3]
        assert (cropped.array == voxels[:, 1:5, 2:-3]).all()
        assert cropped.affine[:3, 3] == pytest.approx((affine @ [1, 2, 0, 1])[:3])
        assert (image[3].array == voxels[:, 3:4]).all()
        cropped.data[:] = -1
        assert (image.array == voxels).all()
        assert (image.array >= 0).all()


def test_slicing_beyond_the_axes_is_refused(voxels: Voxels) -> None:
    with pytest.raises(ValueError, match="leaves no voxel"):
        _ = ScalarImage(tensor=voxels)[6:]


@pytest.mark.parametrize("load", [True, False])
def test_read_returns_a_box_without_keeping_the_volume(
    write: Any, voxels: Voxels, load: bool
) -> None:
    image = ScalarImage(write())
    if load:
        image.load()
    box = Box((1, 2, 3), (3, 4, 5))
    assert (image.read(box) == voxels[(slice(None), *box.slices)]).all()
    assert image.is_loaded == load
    with pytest.raises(ValueError, match="does not lie inside"):
        image.read(Box((0, 0, 0), (60, 1, 1)))


def test_a_memory_map_is_not_read_into_memory_before_it_must(
    tmp_path: Path, voxels: Voxels
) -> None:
    np.save(tmp_path / "map.npy", voxels)
    mapped = np.load(tmp_path / "map.npy", mmap_mode="r")
    image = ScalarImage(tensor=mapped)
    assert image.shape == voxels.shape
    assert np.shares_memory(image.read(Box((0, 0, 0), (2, 2, 2))), mapped)
    assert not image.is_loaded
    image.data[:] = 0
    assert (np.load(tmp_path / "map.npy") == voxels).all()


def test_a_writable_memory_map_is_shared(tmp_path: Path, voxels: Voxels) -> None:
    np.save(tmp_path / "map.npy", voxels)
    mapped = np.load(tmp_path / "map.npy", mmap_mode="c")
    assert np.shares_memory(ScalarImage(tensor=mapped).array, mapped)


def test_a_copy_shares_voxels_and_a_deep_copy_does_not(write: Any, voxels: Voxels) -> None:
    for image in (ScalarImage(write(), note=[1]), ScalarImage(tensor=voxels.copy(), note=[1])):
        image.data[:] = 7
        assert np.shares_memory(copy.copy(image).array, image.array)
        deep = copy.deepcopy(image)
        assert type(deep) is ScalarImage
        assert (deep.array == 7).all()
        assert (deep.affine == image.affine).all()
        deep.data[:] = 8
        deep["note"].append(2)
        assert (image.array == 7).all()
        assert image["note"] == [1]


def test_a_copy_of_an_unloaded_image_is_unloaded(write: Any) -> None:
    image = ScalarImage(write())
    copies = copy.copy(image), copy.deepcopy(image)
    assert [one.load().is_loaded for one in copies] == [True, True]
    assert not image.is_loaded


def test_pickling_sends_the_path_of_a_file_and_the_voxels_of_memory(
    write: Any, voxels: Voxels
) -> None:
    image = ScalarImage(write())
    sent = pickle.loads(pickle.dumps(image))
    assert not sent.is_loaded
    assert (sent.array == voxels).all()
    changed = pickle.loads(pickle.dumps(image.with_data(image.data * 2)))
    assert (changed.array == voxels * 2).all()
    assert len(pickle.dumps(ScalarImage(write()))) < 5000


def test_pickling_sends_what_was_changed_in_place_and_the_file_can_be_read_again(
    write: Any, voxels: Voxels
) -> None:
    image = ScalarImage(write())
    image.data.fill_(7)
    sent = pickle.loads(pickle.dumps(image))
    assert (sent.array == 7).all()
    sent.unload()
    assert (sent.array == voxels).all()


def test_images_are_equal_to_themselves_only(voxels: Voxels) -> None:
    one, two = ScalarImage(tensor=voxels), ScalarImage(tensor=voxels)
    assert one == one
    assert len({one, two}) == 2


def test_saved_voxels_come_back(tmp_path: Path, voxels: Voxels, affine: Voxels) -> None:
    ScalarImage(tensor=voxels, affine=affine).save(tmp_path / "saved.nii.gz")
    saved = ScalarImage(tmp_path / "saved.nii.gz")
    assert (saved.array == voxels).all()
    assert saved.affine == pytest.approx(affine)


def test_an_image_of_a_source_reads_from_it(voxels: Voxels, affine: Voxels) -> None:
    image = LabelMap.from_source(ArraySource(voxels, affine, "x/seg.nii"), note=1)
    assert (image.type, image["stem"], image["note"]) == ("label", "seg", 1)
    assert (image.array == voxels).all()
    assert image.affine == pytest.approx(affine)


def test_an_image_tells_where_it_lies_in_the_words_of_the_field(write: Any) -> None:
    image = ScalarImage(write("t1.nii.gz", damaged=True))  # so that no voxel can be decoded
    assert image.origin == pytest.approx((5, -7, 11))
    assert image.direction == pytest.approx((0, -1, 0, 1, 0, 0, 0, 0, 1))
    assert image.get_center() == pytest.approx((5 - 2 * 3, -7 + 1.5 * 2.5, 11 + 3 * 3.5))
    assert image.get_center(lps=True) == pytest.approx((1, 3.25, 21.5))
    assert np.allclose(image.get_bounds(), [(-8, 6), (-7.75, 1.25), (9.5, 33.5)])
    assert (image.width, image.height, image.depth) == (6, 7, 8)
    assert image.axis_name_to_index("left") == -2
    assert image.memory == 2 * 6 * 7 * 8 * 2


def test_voxels_of_each_label_are_counted_without_keeping_them(write: Any) -> None:
    voxels = np.zeros((1, 4, 5, 6), dtype=np.int16)
    voxels[0, 1] = 7
    voxels[0, 2, 0, :2] = -3
    image = LabelMap(write("seg.nii.gz", voxels))
    assert image.count_labels() == {-3: 2, 0: 88, 7: 30}
    assert list(image.count_labels()) == [-3, 0, 7]
    assert image.count_nonzero() == 32
    assert not image.is_loaded


def test_unloading_forgets_voxels_that_a_file_can_give_again(write: Any, voxels: Voxels) -> None:
    image = ScalarImage(write("t1.nii.gz"))
    with pytest.raises(RuntimeError, match=r"t1\.nii\.gz is not loaded"):
        image.unload()
    image.data[:] = 0
    image.unload()
    assert not image.is_loaded
    assert (image.array == voxels).all()
    for kept in (ScalarImage(tensor=voxels), image.with_data(voxels)):
        with pytest.raises(RuntimeError, match="an image in memory has no file to read again"):
            kept.unload()


@pytest.mark.parametrize("check", [False, True])
def test_what_is_not_a_number_is_warned_of_if_that_is_asked_for(write: Any, check: bool) -> None:
    voxels = np.ones((1, 4, 5, 6), dtype=np.float32)
    voxels[0, 1:3, 2, 3] = np.nan
    path = write("t1.nii.gz", voxels)

    def warned(make: Any) -> list[str]:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            make()
        assert all(one.category is RuntimeWarning for one in caught)
        return [str(one.message) for one in caught]

    image = ScalarImage(path, check_nans=check)
    said = warned(image.load)
    assert said == ([f"{path}: 2 voxels are not a number"] if check else [])
    assert warned(image.load) == []  # they are not read again
    given = warned(lambda: ScalarImage(tensor=voxels, check_nans=check))
    assert given == (["2 voxels are not a number"] if check else [])
    lazy = ScalarImage(path, check_nans=check)
    assert warned(lambda: lazy.read(Box((3, 0, 0), (4, 5, 6)))) == []  # there are none there
    assert (copy.deepcopy(lazy).check_nans, pickle.loads(pickle.dumps(lazy)).check_nans) == (
        check,
        check,
    )


def test_whole_numbers_are_numbers(voxels: Voxels) -> None:
    assert ScalarImage(tensor=voxels, check_nans=True).check_nans


def test_setting_data_in_place_says_what_to_do_instead() -> None:
    image = ScalarImage(tensor=np.zeros((1, 2, 2, 2)))
    with pytest.raises(AttributeError, match=r"frozen.*with_data.*subject\.replace"):
        image.set_data(image.data)


def test_one_can_watch_an_image_go() -> None:
    image = ScalarImage(tensor=np.zeros((1, 2, 2, 2)))
    seen = weakref.ref(image)
    assert seen() is image
    del image
    assert seen() is None


@pytest.fixture
def plain(tmp_path: Path) -> ScalarImage:
    voxels = np.random.default_rng(0).integers(-9, 9, (6, 7, 8), np.int16)
    return ScalarImage(write_nifti(tmp_path / "plain.nii", voxels))


def test_boxes_of_a_map_that_is_held_are_those_of_the_file(plain: ScalarImage) -> None:
    box = Box((1, 2, 3), (4, 4, 8))
    expected = plain.read(box).copy()
    plain.hold_map()
    np.testing.assert_array_equal(plain.read(box), expected, strict=True)
    with pytest.raises(GeometryError, match="does not lie inside"):
        plain.read(Box((0, 0, 0), (7, 7, 8)))
    np.testing.assert_array_equal(plain.read(), plain.source.read(), strict=True)
    assert pickle.loads(pickle.dumps(plain)).read(box).tolist() == expected.tolist()


def test_a_file_is_looked_at_again_once_its_map_is_let_go_of(plain: ScalarImage) -> None:
    box = Box((0, 0, 0), (2, 2, 2))
    plain.hold_map()
    path = Path(str(plain.path))
    path.write_bytes(path.read_bytes() + b"more")
    plain.read(box)
    plain.let_go_of_map()
    for _ in range(2):
        with pytest.raises(VolumeReadError, match=f"{path}: had"):
            plain.read(box)
        plain.hold_map()  # what is wrong is for the next box to say


def test_what_is_not_used_as_it_lies_is_not_held(tmp_path: Path) -> None:
    """Unsigned numbers become wider, and what is not a number is warned of, in every box."""
    box = Box((0, 0, 0), (2, 2, 2))
    wide = ScalarImage(write_nifti(tmp_path / "wide.nii", np.ones((3, 3, 3), np.uint16)))
    nans = np.full((3, 3, 3), np.nan, np.float32)
    checked = ScalarImage(write_nifti(tmp_path / "nans.nii", nans), check_nans=True)
    for image in (wide, checked):
        image.hold_map()
    assert wide.read(box).dtype == np.int32
    with pytest.warns(RuntimeWarning, match="8 voxels are not a number"):
        checked.read(box)
