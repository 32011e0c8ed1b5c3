"""The files that a volume is read from, and the state that they are in."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path
from typing import Final

from voxloom.io._channels import ChannelSource
from voxloom.io._dicom import DicomSource
from voxloom.io._dicom_file import DicomFileSource
from voxloom.io._itk import ItkSource
from voxloom.io._nibabel import NibabelSource
from voxloom.io._nifti import NiftiSource
from voxloom.io._source import VolumeSource
from voxloom.io._tiff import TiffSource

_IN_SEVERAL_FILES: Final = (".hdr", ".img", ".hdr.gz", ".img.gz")
_SETTLED_NS: Final = 2_000_000_000


def files_of(source: VolumeSource) -> tuple[str, ...]:
    """Return the files that a volume is read from; none where that cannot be told.

    A reader of the user may read anything, and a header may name a file that is not known here.

    Examples
    --------
    >>> from voxloom.io import ReaderSource
    >>> files_of(ReaderSource("any", lambda path: ([[1]], None)))
    ()
    """
    if isinstance(source, ChannelSource):
        parts = [files_of(part) for part in source.sources]
        return tuple(file for part in parts for file in part) if all(parts) else ()
    if isinstance(source, DicomSource | DicomFileSource | ItkSource):
        return tuple(source.files)
    known = isinstance(source, NiftiSource | NibabelSource | TiffSource)
    if not known or str(source.path).lower().endswith(_IN_SEVERAL_FILES):
        return ()
    return (str(source.path),)


def file_state(files: tuple[str, ...], facts: str = "") -> tuple[str, bool]:
    """Return a digest of the state of files, and whether a change would surely change it.

    A file that was changed a moment ago may be changed again within a tick of the system's clock.
    An OSError is raised where one is not there.

    Parameters
    ----------
    files : tuple of str
        Their names.
    facts : str
        What else the digest depends on.
    """
    digest = hashlib.sha256(facts.encode())
    newest = 0
    for file in files:
        now = Path(file).stat()
        state = now.st_ino, now.st_size, now.st_mtime_ns, now.st_ctime_ns
        digest.update(f"\0{Path(file).absolute()} {state}".encode())
        newest = max(newest, now.st_ctime_ns)
    return digest.hexdigest(), time.time_ns() - newest > _SETTLED_NS
