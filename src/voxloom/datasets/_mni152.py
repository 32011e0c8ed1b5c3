"""The ICBM 2009a template that comes with nilearn: a real brain, without a download."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, final

import numpy as np

from voxloom._errors import MissingExtraError, VolumeNotFoundError
from voxloom.geometry import Box
from voxloom.io import Array, VolumeSource, open_volume
from voxloom.subjects import SAMPLING_MAP, Image, LabelMap, ScalarImage, Subject

_FILES: Final = {
    name: f"mni_icbm152_{name}_tal_nlin_sym_09a_converted.nii.gz" for name in ("t1", "gm", "wm")
}


def MNI152() -> Subject:  # noqa: N802 - the name users know
    """Return the ICBM 152 nonlinear symmetric 2009a template, 197x233x189 voxels of 1 mm.

    The files are those of the nilearn wheel; nilearn itself is not imported. They hold uint8:
    the T1-weighted average of 152 adults outside of whose brain mask all is 0, and two
    probability maps in which 255 stands for 1. Only headers are read here. The label maps are
    derived when they are first read:

    * ``tissues`` is the most probable of three classes: background (0), grey matter (1) and
      white matter (2), the probability of background being what the other two leave of 1.
      Ventricles and other fluid are background. Ties go to the lower label.
    * ``brain`` is 1 where the T1 image is above 0, which is the brain mask of the template, with
      its fluid.

    Returns
    -------
    Subject
        ``t1`` (intensities), ``gm`` and ``wm`` (sampling maps, 0 to 255), ``tissues`` and
        ``brain`` (label maps), each ``(1, 197, 233, 189)`` uint8.

    Raises
    ------
    MissingExtraError
        If nilearn is not installed.
    VolumeNotFoundError
        If the installed nilearn does not carry the template.

    References
    ----------
    Fonov et al. (2011), Unbiased average age-appropriate atlases for pediatric studies,
    NeuroImage 54(1). Fonov et al. (2009), Unbiased nonlinear average age-appropriate brain
    templates from birth to adulthood, NeuroImage 47, S102. Copyright of the McConnell Brain
    Imaging Centre; the terms are in ``docs/attribution.md``.

    Examples
    --------
    >>> subject = MNI152()
    >>> subject.spatial_shape, subject.t1.orientation, subject.t1.is_loaded
    ((197, 233, 189), ('R', 'A', 'S'), False)
    """
    files = _find_files()
    return Subject(
        t1=ScalarImage(files["t1"]),
        gm=Image(files["gm"], type=SAMPLING_MAP),
        wm=Image(files["wm"], type=SAMPLING_MAP),
        tissues=LabelMap.from_source(DerivedLabels(most_probable_tissue, files["gm"], files["wm"])),
        brain=LabelMap.from_source(DerivedLabels(above_zero, files["t1"])),
    )


def _find_files() -> dict[str, Path]:
    """Return where the wheel keeps the template, without importing nilearn (which is slow)."""
    package = find_spec("nilearn")
    if package is None or not package.submodule_search_locations:
        raise MissingExtraError(
            "the MNI152 template comes with nilearn, which is not installed; "
            "run: pip install 'voxloom[demo]'"
        )
    folder = Path(package.submodule_search_locations[0]) / "datasets" / "data"
    files = {name: folder / file for name, file in _FILES.items()}
    missing = [str(file) for file in files.values() if not file.is_file()]
    if missing:
        raise VolumeNotFoundError(
            f"the installed nilearn does not carry the MNI152 template: {missing} not found; "
            f"run: pip install --upgrade 'nilearn>=0.10'"
        )
    return files


@final
class DerivedLabels(VolumeSource):
    """Labels that a rule gives, voxel by voxel, from volumes of one grid.

    Parameters
    ----------
    rule : callable
        A function of a module, so that it can be pickled: arrays ``(C, w, h, d)`` in, one for
        each file, labels out, uint8.
    *files : path
        Where the arrays come from. Each is decoded for any region.

    Examples
    --------
    >>> labels = MNI152().brain.source
    >>> int(labels.read(Box((98, 130, 90), (99, 131, 91))).sum()), labels.dtype.name
    (1, 'uint8')
    """

    reads_regions = False
    path = None

    def __init__(self, rule: Callable[..., Array], *files: Path) -> None:
        source = open_volume(files[0])
        self.rule, self.files = rule, files
        self.shape, self.space = source.shape, source.space
        self.dtype: np.dtype[Any] = np.dtype(np.uint8)

    def read(self, box: Box | None = None) -> Array:
        """Return the labels in `box`, or all."""
        if box is not None:
            self.check_box(box)
        return self.rule(*(open_volume(file).read(box) for file in self.files))


def most_probable_tissue(grey: Array, white: Array) -> Array:
    """Return 1 where grey matter is likelier than white and neither, 2 where white is.

    Examples
    --------
    >>> most_probable_tissue(np.array([200, 90, 100, 0]), np.array([55, 90, 110, 128])).tolist()
    [1, 1, 2, 2]
    """
    neither = 255 - grey.astype(np.int16) - white
    tissues = (grey > neither).astype(np.uint8)
    tissues[white > np.maximum(grey, neither)] = 2
    return tissues


def above_zero(voxels: Array) -> Array:
    """Return 1 where a voxel is above 0, else 0."""
    return (voxels > 0).astype(np.uint8)
