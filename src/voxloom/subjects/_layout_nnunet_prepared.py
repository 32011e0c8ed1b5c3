"""Data sets that nnU-Net, version 2, has preprocessed: ``.b2nd`` volumes, read by region."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from voxloom._errors import LayoutError, VolumeNotFoundError
from voxloom.geometry import Affine
from voxloom.io import open_volume
from voxloom.subjects._image import LabelMap, ScalarImage
from voxloom.subjects._plain_pickle import read_plain_pickle
from voxloom.subjects._subject import Subject
from voxloom.subjects._volume_files import listed

_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


def is_prepared_by_nnunet(folder: Path) -> bool:
    """Tell whether a folder holds the cases of one configuration, such as 3d_fullres."""
    return folder.is_dir() and any(folder.glob("*_seg.b2nd"))


def check_not_prepared(folder: Path) -> None:
    """Raise LayoutError if a folder belongs to ``nnUNet_preprocessed`` and cannot be read."""
    if not folder.is_dir() or (folder / "imagesTr").exists():
        return
    inner = sorted(one.name for one in folder.iterdir() if is_prepared_by_nnunet(one))
    if inner:
        raise LayoutError(
            f"{folder} holds several configurations that nnU-Net prepared; give the folder of "
            f"one of them: {listed(inner)}"
        )
    if any(folder.glob("*.npz")) and any(folder.glob("*.pkl")):
        raise LayoutError(
            f"{folder} was prepared by an older nnU-Net, as .npz, which is not read; preprocess it "
            "again with a newer one, which writes .b2nd"
        )


def read_nnunet_prepared(folder: Path) -> list[Subject]:
    """Return the subjects of a configuration's folder. See `from_nnunet`."""
    order = _axis_order(folder)
    cases = sorted(file.name.removesuffix("_seg.b2nd") for file in folder.glob("*_seg.b2nd"))
    return [_subject(folder, case, order) for case in cases]


def _subject(folder: Path, case: str, order: list[int]) -> Subject:
    files = [folder / f"{case}{end}" for end in (".b2nd", "_seg.b2nd", ".pkl")]
    for file in files:
        if not file.exists():
            raise VolumeNotFoundError(
                f"case {case!r}: there is no file {file}; preprocess it again"
            )
    image, label, properties = files
    shape = open_volume(image).spatial_shape
    try:
        affine = _affine(read_plain_pickle(properties), order, shape)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        if isinstance(error, LayoutError):
            raise
        raise LayoutError(
            f"{properties}: does not say where the volume lies, {error!r}; preprocess it again"
        ) from error
    return Subject(
        subject_id=case,
        image=ScalarImage(image, affine=affine),
        label=LabelMap(label, affine=affine),
    )


def _axis_order(folder: Path) -> list[int]:
    """Return ``transpose_forward`` of the plans that a folder was made by."""
    for file in sorted(folder.parent.glob("*.json"), key=lambda file: -len(file.stem)):
        if folder.name.startswith(f"{file.stem}_"):
            plans = json.loads(file.read_text(encoding="utf-8"))
            order = plans.get("transpose_forward")
            if sorted(order or ()) == [0, 1, 2]:
                return [int(axis) for axis in order]
    raise LayoutError(
        f"{folder}: expected the plans beside it, such as nnUNetPlans.json for "
        "nnUNetPlans_3d_fullres, with 'transpose_forward'; without them the axes are unknown"
    )


def _affine(properties: Mapping[str, Any], order: list[int], shape: tuple[int, ...]) -> Affine:
    """Return the affine of a volume whose axes were turned, which was cropped and resampled."""
    turned = np.zeros((4, 4))  # from axes as they are stored to x, y, z of the original
    turned[3, 3] = 1
    for axis, source in enumerate(order):
        turned[2 - source, axis] = 1
    first = np.array([low for low, _ in properties["bbox_used_for_cropping"]], dtype=np.float64)
    cropped = np.array(properties["shape_after_cropping_and_before_resampling"], np.float64)
    factor = cropped / np.array(shape, dtype=np.float64)
    placed = np.diag([*factor, 1.0])
    placed[:3, 3] = first + factor / 2 - 0.5  # borders meet, not centres of the first voxels
    affine: Affine = _original_affine(properties) @ turned @ placed
    return affine


def _original_affine(properties: Mapping[str, Any]) -> Affine:
    if "nibabel_stuff" in properties:
        kept = properties["nibabel_stuff"]
        used = kept.get("reoriented_affine", kept.get("original_affine"))
        return np.asarray(used, dtype=np.float64)
    kept = properties.get("sitk_stuff", {})
    affine = np.eye(4)
    if len(kept.get("spacing", ())) != 3:  # of a picture, or a format without directions
        affine[:3, :3] = np.diag(np.asarray(properties["spacing"], dtype=np.float64)[::-1])
        return affine
    direction = np.asarray(kept["direction"], dtype=np.float64).reshape(3, 3)
    affine[:3, :3] = direction * np.asarray(kept["spacing"], dtype=np.float64)
    affine[:3, 3] = kept["origin"]
    return _LPS_TO_RAS @ affine
