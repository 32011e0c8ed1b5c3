"""What is done to a subject begins with the subject as it was given."""

from pathlib import Path
from typing import Any

import changing
import numpy as np
import pytest

from voxloom import GridSampler, Queue, ScalarImage, Subject, SubjectsDataset, UniformSampler
from voxloom.io import NiftiSource, write_nifti
from voxloom.loading._work import Workshop, WorkSpec


def test_a_transform_that_loads_images_itself_gets_them_as_they_were_given() -> None:
    """Each time: with what the last epoch left, patches would tell how often which worker came."""
    subjects = changing.make_subjects(3)
    before = [subject.t1.array.copy() for subject in subjects]
    dataset = SubjectsDataset(subjects, changing.double_in_place, load_getitem=False)
    with Queue(dataset, 3, 1, UniformSampler(8), seed=1) as queue:
        for _ in range(2):
            for patch in queue:
                assert (patch.t1.array == 2 * before[patch.number]).all()
    assert all((a.t1.array == b).all() for a, b in zip(subjects, before, strict=True))


def test_how_volumes_lie_is_looked_up_once_and_not_where_that_fails(tmp_path: Path) -> None:
    paths = [
        Path(write_nifti(tmp_path / f"{number}.nii", np.zeros((9, 9, 9), np.int16)))
        for number in range(2)
    ]
    dataset = SubjectsDataset([Subject(t1=ScalarImage(path)) for path in paths])
    workshop = Workshop(WorkSpec(dataset, UniformSampler(4), seed=1))
    first, second = workshop.open(0, 0), workshop.open(1, 0)
    layout = workshop.layout_as_stored(first)
    assert layout.orders == "F"
    for path in paths:
        path.unlink()
    assert workshop.layout_as_stored(first) is layout
    assert workshop.layout_as_stored(second).orders == "C"  # cutting says what is wrong


def _opened(folder: Path, samples: int, **options: Any) -> list[str]:
    """Return the names of the images that are brought in when the first of two is opened."""
    paths = [
        write_nifti(folder / f"{number}.nii", np.zeros((8, 8, 8), np.int16)) for number in range(2)
    ]
    dataset = SubjectsDataset([Subject(t1=ScalarImage(path)) for path in paths], **options)
    spec = WorkSpec(dataset, UniformSampler(4), seed=1, patches_per_subject=samples)
    brought: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            NiftiSource, "bring_in", lambda source: brought.append(Path(source.path).name)
        )
        Workshop(spec).open(0, 0)
    return brought


def test_volumes_of_which_an_epoch_wants_as_much_are_brought_in_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And if they are not too large for a start, and all volumes fit into half of the memory."""
    assert _opened(tmp_path, 8) == ["0.nii"]
    assert _opened(tmp_path, 7) == []
    assert _opened(tmp_path, 8, transform=_same) == []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("voxloom.loading._work._MOST_BROUGHT_IN", 2 * 8**3 - 1)
        assert _opened(tmp_path, 8) == []
    monkeypatch.setattr("voxloom.loading._work.available_bytes", lambda: 2 * 2 * 8**3 * 2)
    assert _opened(tmp_path, 8) == ["0.nii"]
    monkeypatch.setattr("voxloom.loading._work.available_bytes", lambda: 2 * 2 * 8**3 * 2 - 1)
    assert _opened(tmp_path, 8) == []
    monkeypatch.setattr("voxloom.loading._work.available_bytes", lambda: None)
    assert _opened(tmp_path, 8) == []


def _same(subject: Subject) -> Subject:
    return subject


def test_a_grid_wants_all_of_a_volume_and_one_patch_that_is_explained_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    brought: list[str] = []
    monkeypatch.setattr(NiftiSource, "bring_in", lambda source: brought.append(source.path))
    path = write_nifti(tmp_path / "t1.nii", np.zeros((8, 8, 8), np.int16))
    dataset = SubjectsDataset([Subject(t1=ScalarImage(path))])
    with Queue(dataset, 2, 1, GridSampler(patch_size=4), num_workers=0, seed=1) as queue:
        queue.explain(0)
        assert brought == []
        next(iter(queue))
        assert brought == [path]
