import json
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from voxloom._errors import LayoutError, VolumeNotFoundError
from voxloom.geometry import Box
from voxloom.subjects import SubjectsDataset

blosc2 = pytest.importorskip("blosc2")

# An image of (x, y, z) = (10, 12, 8) voxels in LPS, cropped, then resampled to twice as many.
DIRECTION = (0.0, 1.0, 0.0, -1.0, 0.0, 0.0, 0.0, 0.0, 1.0)
SPACING, ORIGIN = (0.5, 1.0, 3.0), (7.0, -4.0, 20.0)


def write_case(folder: Path, case: str, order: list[int], **changes: Any) -> np.ndarray[Any, Any]:
    folder.mkdir(parents=True, exist_ok=True)
    plans = {"plans_name": "nnUNetPlans", "transpose_forward": order}
    (folder.parent / "nnUNetPlans.json").write_text(json.dumps(plans))
    boxes = [[[1, 7], [2, 12], [0, 10]][axis] for axis in order]
    lengths = [high - low for low, high in boxes]
    shape = (2, *(2 * n for n in lengths))
    data = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    seg = np.random.default_rng(1).integers(-1, 3, (1, *shape[1:])).astype(np.int8)
    blosc2.asarray(data, urlpath=str(folder / f"{case}.b2nd"), chunks=(1, 8, 8, 8))
    blosc2.asarray(seg, urlpath=str(folder / f"{case}_seg.b2nd"))
    properties = {
        "sitk_stuff": {"spacing": SPACING, "origin": ORIGIN, "direction": DIRECTION},
        "spacing": list(SPACING[::-1]),
        "shape_before_cropping": tuple((8, 12, 10)[axis] for axis in order),
        "bbox_used_for_cropping": boxes,
        "shape_after_cropping_and_before_resampling": tuple(np.int64(n) for n in lengths),
        "class_locations": {1: np.zeros((5, 4), np.int64), (1, 2): [], "all": np.float32(1)},
        **changes,
    }
    with (folder / f"{case}.pkl").open("wb") as file:
        pickle.dump(properties, file)
    return data


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "Dataset042_Liver" / "nnUNetPlans_3d_fullres"


@pytest.mark.parametrize("order", [[0, 1, 2], [2, 0, 1]])
def test_its_volumes_are_read_by_region_and_lie_where_they_were(
    folder: Path, order: list[int]
) -> None:
    data = write_case(folder, "case_1", order)
    dataset = SubjectsDataset.from_nnunet(folder)
    subject = dataset.dry_iter()[0]
    assert subject.subject_id == "case_1"
    assert (subject.image.dtype, subject.label.dtype) == (np.float32, np.int8)
    assert subject.image.source.reads_regions
    np.testing.assert_array_equal(
        subject.image.read(Box((1, 2, 3), (4, 5, 6))), data[:, 1:4, 2:5, 3:6]
    )
    # The corner of the first voxel is the corner of voxel (x, y, z) = (0, 2, 1) of the original.
    lps = np.array(DIRECTION).reshape(3, 3) @ (np.array(SPACING) * ([-0.5, 1.5, 0.5])) + ORIGIN
    corner = subject.image.affine
    there = corner @ [-0.5, -0.5, -0.5, 1]
    np.testing.assert_allclose(there[:3], lps * [-1, -1, 1])
    np.testing.assert_allclose(
        subject.spacing, [(1.5, 0.5, 0.25)[axis] for axis in order], rtol=1e-12
    )


def test_affines_of_nibabel_are_taken_too(folder: Path) -> None:
    world = np.diag([2.0, 3.0, 4.0, 1.0])
    write_case(folder, "case_1", [0, 1, 2], nibabel_stuff={"original_affine": world})
    (subject,) = SubjectsDataset.from_nnunet(folder).dry_iter()
    assert subject.spacing == (2.0, 1.5, 1.0)
    assert subject.image.orientation == ("S", "A", "R")


class Trap:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("it ran",)


def test_nothing_in_a_pickle_is_run(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_case(folder, "case_1", [0, 1, 2], class_locations=Trap())
    with pytest.raises(LayoutError, match=r"case_1\.pkl: the pickle asks for posix\.mkdir; only"):
        SubjectsDataset.from_nnunet(folder)
    assert not (tmp_path / "it ran").exists()


def test_it_has_no_test_cases(folder: Path) -> None:
    write_case(folder, "case_1", [0, 1, 2])
    with pytest.raises(LayoutError, match="training cases only; give the raw folder"):
        SubjectsDataset.from_nnunet(folder, section="Ts")


def test_the_folder_of_a_configuration_is_asked_for(folder: Path) -> None:
    write_case(folder, "case_1", [0, 1, 2])
    with pytest.raises(LayoutError, match=r"give the folder of one of them: nnUNetPlans_3d_full"):
        SubjectsDataset.from_nnunet(folder.parent)


def test_what_an_older_version_wrote_is_said_not_to_be_read(tmp_path: Path) -> None:
    for name in ("case_1.npz", "case_1.pkl"):
        (tmp_path / name).touch()
    with pytest.raises(LayoutError, match=r"by an older nnU-Net, as \.npz, which is not read"):
        SubjectsDataset.from_nnunet(tmp_path)


def test_what_is_missing_is_told(folder: Path) -> None:
    write_case(folder, "case_1", [0, 1, 2])
    (folder / "case_1.pkl").write_bytes(b"\x80\x04none")
    with pytest.raises(LayoutError, match=r"case_1\.pkl: is not a pickle of plain data"):
        SubjectsDataset.from_nnunet(folder)
    with (folder / "case_1.pkl").open("wb") as file:
        pickle.dump({}, file)
    with pytest.raises(LayoutError, match="does not say where the volume lies"):
        SubjectsDataset.from_nnunet(folder)
    (folder / "case_1.b2nd").unlink()
    with pytest.raises(VolumeNotFoundError, match="case 'case_1': there is no file"):
        SubjectsDataset.from_nnunet(folder)
    (folder.parent / "nnUNetPlans.json").unlink()
    with pytest.raises(LayoutError, match="expected the plans beside it"):
        SubjectsDataset.from_nnunet(folder)
