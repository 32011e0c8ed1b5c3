"""One man, scanned 27 times: the Colin 27 templates, fetched from the Montreal institute."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from voxloom.datasets._cache import Archive, fetch
from voxloom.subjects import Image, LabelMap, ScalarImage, Subject

BASE_URL: Final = "http://packages.bic.mni.mcgill.ca/mni-models/colin27"

_MEMBERS: Final = {
    1998: {
        "t1": "colin27_t1_tal_lin.nii",
        "head": "colin27_t1_tal_lin_headmask.nii",
        "brain": "colin27_t1_tal_lin_mask.nii",
    },
    2008: {
        "t1": "colin27_t1_tal_hires.nii",
        "t2": "colin27_t2_tal_hires.nii",
        "pd": "colin27_pd_tal_hires.nii",
        "cls": "colin27_cls_tal_hires.nii",
    },
}
_LABELS: Final = {"head", "brain", "cls"}


def Colin27(  # noqa: N802 - the name users know
    version: int = 1998, *, base_url: str = BASE_URL, known_hash: str | None = None
) -> Subject:
    """Return the Colin 27 average brain, fetched at the first call.

    The archive is kept, unpacked, in the user's cache folder, or in the folder that the
    environment variable ``VOXLOOM_CACHE`` names. A download that broke off is continued. Its length
    is checked against what the server announced, each member against its checksum in the archive,
    and each header is read, before anything gets its final name.

    Parameters
    ----------
    version : {1998, 2008}
        1998: ``t1`` (intensities), ``head`` and ``brain`` (label maps), 181x217x181 voxels of
        1 mm. 2008: ``t1``, ``t2``, ``pd`` (intensities) and ``cls`` (label map of tissues),
        362x434x362 voxels of 0.5 mm.
    base_url : str
        Folder on the network that holds the archives, for a mirror.
    known_hash : str, optional
        ``'sha256:...'`` of the archive. The institute publishes none, so none is checked by
        default.

    Returns
    -------
    Subject
        Images that read nothing but their headers until their voxels are asked for.

    Raises
    ------
    ValueError
        If there is no such version.
    DownloadError
        An OSError, if the archive cannot be fetched or comes broken. The message names the
        address and the folder into which the archive can be put by hand.
    MissingExtraError
        If pooch is not installed (extra ``demo``).

    References
    ----------
    Holmes et al. (1998), Enhancement of MR images using registration for signal averaging,
    Journal of Computer Assisted Tomography 22(2). Aubert-Broche, Evans and Collins (2006), A new
    improved version of the realistic digital brain phantom, NeuroImage 32(1). The terms are in
    ``docs/attribution.md``.

    Examples
    --------
    >>> from voxloom.datasets import Colin27
    >>> Colin27(version=2000)
    Traceback (most recent call last):
    ...
    ValueError: Colin 27 has the versions 1998 and 2008, got 2000
    """
    if version not in _MEMBERS:
        raise ValueError(f"Colin 27 has the versions 1998 and 2008, got {version!r}")
    members = _MEMBERS[version]
    url = f"{base_url.rstrip('/')}/mni_colin27_{version}_nifti.zip"
    files = fetch(Archive(url, tuple(members.values()), known_hash))
    return Subject({name: _image(name, files[member]) for name, member in members.items()})


def _image(name: str, file: Path) -> Image:
    return LabelMap(file) if name in _LABELS else ScalarImage(file)
