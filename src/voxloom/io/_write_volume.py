"""Writing a volume in the format that its name asks for."""

from __future__ import annotations

import os
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from voxloom._errors import UnknownFormatError
from voxloom.geometry import as_affine
from voxloom.io._itk import write_itk
from voxloom.io._shapes import four_axes
from voxloom.io._write import write_nifti

_NIFTI: Final = (".nii", ".nii.gz")
_PAIR: Final = (".img", ".hdr")
_ITK: Final = (".nrrd", ".nhdr", ".mha", ".mhd")


def write_volume(
    path: str | os.PathLike[str], array: npt.ArrayLike, affine: npt.ArrayLike | None = None
) -> str:
    """Write a volume as NIfTI, in one file or two, or as ITK writes NRRD and MetaImage.

    Parameters
    ----------
    path : str or path-like
        Ends with ``.nii``, ``.nii.gz``, ``.img``, ``.hdr``, ``.nrrd``, ``.nhdr``, ``.mha`` or
        ``.mhd``. Only ``.nii`` and ``.nii.gz`` appear under their name when they are complete.
    array : (C, W, H, D), (W, H, D) or (W, H) array
        Voxels, written in their own type; booleans as uint8.
    affine : (4, 4) array, optional
        Voxel indices to world, RAS+, mm; the identity if None.

    Returns
    -------
    str
        The path.

    Raises
    ------
    UnknownFormatError
        A ValueError, if the suffix is another, or the format has no such type.
    MissingExtraError
        If the format needs SimpleITK and it is not installed.

    Examples
    --------
    >>> import tempfile
    >>> from voxloom.io import open_volume
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = write_volume(f"{folder}/t1.img", np.ones((4, 5, 6), dtype=np.float32))
    ...     open_volume(path).shape
    (1, 4, 5, 6)
    """
    name = os.fspath(path)
    lower = name.lower()
    if lower.endswith(_NIFTI):
        return write_nifti(path, array, affine)
    voxels = np.asarray(array)
    voxels = voxels.view(np.uint8) if voxels.dtype == np.bool_ else voxels
    voxels = voxels.reshape(four_axes(name, voxels.shape))
    if lower.endswith(_PAIR):
        _write_pair(name, voxels, affine)
    elif lower.endswith(_ITK):
        write_itk(name, voxels, as_affine(affine))
    else:
        raise UnknownFormatError(
            f"{name}: a volume is written to a name that ends with one of "
            f"{', '.join(_NIFTI + _PAIR + _ITK)}"
        )
    return name


def _write_pair(name: str, voxels: npt.NDArray[np.generic], affine: npt.ArrayLike | None) -> None:
    import nibabel

    stored = np.moveaxis(voxels, 0, -1)
    stored = stored[..., 0] if stored.shape[-1] == 1 else stored
    pair: Any = nibabel.Nifti1Pair
    try:
        nibabel.save(pair(stored, as_affine(affine), dtype=voxels.dtype), name)
    except (nibabel.spatialimages.HeaderDataError, ValueError) as error:
        raise UnknownFormatError(f"{name}: NIfTI cannot hold this volume, {error}") from error
