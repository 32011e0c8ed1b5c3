"""Volumes decoded once, and kept for reads by region: what a data set does on the way."""

from __future__ import annotations

import io
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, Self, final

import numpy as np

from voxloom._errors import PreparedError, ProbabilityError, UnknownFormatError, VoxloomError
from voxloom.io import (
    Array,
    CachedSource,
    NiftiSource,
    PreparedSource,
    VolumeSource,
    nifti_parts,
    reversed_axes,
)
from voxloom.patches import save_index
from voxloom.prepared._cache_entry import VOXELS, UnfinishedEntry
from voxloom.prepared._cache_folder import INDEX, CacheFolder
from voxloom.prepared._cache_key import content_key, facts_of, files_of, stamp_key
from voxloom.prepared._write import in_c_order
from voxloom.subjects import LABEL, SAMPLING_MAP, Image, Subject

_logger: Final = logging.getLogger("voxloom")


@final
@dataclass(frozen=True, slots=True)
class VolumeCache:
    """Keeps decoded volumes in a folder. See `voxloom.SubjectsDataset`.

    What is kept is the volume as it is decoded, before any transform: a random transform must
    not be frozen, and there is no telling from outside which is. Images that are read by region,
    or by a function of the user, or whose files cannot all be named, are left as they are.

    Examples
    --------
    >>> import tempfile
    >>> from voxloom.io import write_nifti
    >>> from voxloom.subjects import ScalarImage
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = write_nifti(f"{folder}/t1.nii.gz", np.ones((4, 5, 6), np.int16))
    ...     cache = VolumeCache.at(f"{folder}/cache")
    ...     found = cache.through(Subject(t1=ScalarImage(file)))
    ...     found.t1.source.reads_regions, int(found.t1.array.sum())
    (True, 120)
    """

    folder: CacheFolder

    @classmethod
    def at(cls, folder: str | os.PathLike[str], limit: int | None = None) -> Self:
        """Return the cache in a folder, which is made if it is not there.

        Raises
        ------
        PreparedError
            A ValueError and OSError, if the folder cannot be written, or the limit is no number
            of bytes.
        """
        if limit is not None and (isinstance(limit, bool) or not hasattr(limit, "__index__")):
            raise PreparedError(f"cache_limit is a whole number of bytes, or None; got {limit!r}")
        if limit is not None and limit < 1:
            raise PreparedError(f"cache_limit is at least one byte, got {limit}; leave cache out")
        place = CacheFolder(Path(folder).expanduser().absolute(), limit)
        try:
            place.prepare()
        except OSError as error:
            raise PreparedError(
                f"{place.root}: no cache can be kept here, {error.strerror or error}; choose "
                "another folder, or leave cache out"
            ) from error
        return cls(place)

    def through(
        self, subject: Subject, *, as_decoded: bool = False, visits_ahead: int = 0
    ) -> Subject:
        """Return the subject with images that are read from the cache, decoding what is not there.

        Parameters
        ----------
        subject : Subject
            As it was given to the data set.
        as_decoded : bool
            Whether voxels keep the memory order in which they are decoded, for a transform that
            takes whole volumes: what it computes may depend on it. Otherwise they lie in the
            order of patches, with the sampling index of maps.
        visits_ahead : int
            How many subjects will be asked for until this one is again.
        """
        wanted = {
            name: image
            for name, image in subject.get_images_dict(intensity_only=False).items()
            if not image.is_loaded and not image.source.reads_regions
        }
        if not wanted:
            return subject
        due = self._due(visits_ahead)
        found = {name: self._image(image, as_decoded, due) for name, image in wanted.items()}
        return subject.replace(**found)

    def _due(self, visits_ahead: int) -> tuple[int, int]:
        if self.folder.limit is None:
            return 0, 0
        try:
            now = self.folder.tick()
        except OSError as error:
            _warn_once(self.folder.root, str(error))
            return 0, visits_ahead
        return now, now + visits_ahead

    def _image(self, image: Image, as_decoded: bool, due: tuple[int, int]) -> Image:
        files = files_of(image.source)
        if not files:
            return image
        facts = f"{facts_of(image.source)} {image.type} as_decoded={as_decoded}"
        try:
            stamp, settled = stamp_key(files, facts)
            known = self.folder.key_of(stamp) if settled else None
            key = known or content_key(files, facts)
            found = self.folder.find(key)
        except OSError:  # whatever is wrong with the file, decoding it says it better
            return image
        if known is None and settled:
            self.folder.note(stamp, key)
        if found is not None:
            if self.folder.limit is not None:
                self.folder.mark(key, due[1])
            return _reading(image, *found)

        def is_current() -> bool:
            return stamp_key(files, facts)[0] == stamp

        return self._decoded(image, key, is_current, as_decoded, due)

    def _decoded(
        self,
        image: Image,
        key: str,
        is_current: Callable[[], bool],
        as_decoded: bool,
        due: tuple[int, int],
    ) -> Image:
        source, voxels = image.source, None
        try:
            if isinstance(source, NiftiSource) and source.unpacks_to_map:
                self._unpack(source, image.type, key, is_current, as_decoded, due)
            else:
                voxels = source.read()
                if is_current():
                    voxels = voxels if as_decoded else in_c_order(voxels)
                    self._save(key, voxels, image, due, as_decoded)
            found = self.folder.find(key)
        except VoxloomError:
            raise
        except OSError as error:
            _warn_once(self.folder.root, error.strerror or str(error))
            found = None
        if found is not None:
            return _reading(image, *found)
        voxels = source.read() if voxels is None else voxels
        return image.with_data(voxels.astype(image.dtype, copy=False))

    def _unpack(
        self,
        source: NiftiSource,
        kind: str,
        key: str,
        is_current: Callable[[], bool],
        as_decoded: bool,
        due: tuple[int, int],
    ) -> None:
        """Keep the file decoded, as it is: no volume is ever in memory on the way."""
        header = source.header

        def fill(entry: UnfinishedEntry) -> dict[str, Any] | None:
            for piece in source.unpack():
                entry.write(piece)
            if not is_current():
                return None
            if not as_decoded and kind in (LABEL, SAMPLING_MAP):
                channels, w, h, d = header.shape
                shape, mapped = (w, h, d, channels), entry.map()
                stored = np.ndarray(shape, header.disk_dtype, mapped, header.offset, order="F")
                _add_index(entry, np.moveaxis(stored, -1, 0), kind)
            return {"reversed": False}

        self.folder.save(key, header.offset + header.voxel_bytes, fill, due)

    def _save(
        self, key: str, voxels: Array, image: Image, due: tuple[int, int], as_decoded: bool
    ) -> None:
        is_reversed = voxels.flags.c_contiguous
        if not is_reversed and not np.moveaxis(voxels, 0, -1).flags.f_contiguous:
            return  # an order that no file of ours has
        affine = image.source.affine
        array, affine = reversed_axes(voxels, affine) if is_reversed else (voxels, affine)
        try:
            header, stored = nifti_parts(VOXELS, array, affine)
        except UnknownFormatError as error:
            _warn_once(self.folder.root, str(error))
            return

        def fill(entry: UnfinishedEntry) -> dict[str, Any]:
            entry.write(header)
            entry.write(stored)
            if not as_decoded:
                _add_index(entry, voxels, image.type)
            return {"reversed": is_reversed}

        self.folder.save(key, len(header) + len(stored), fill, due)


def open_cache(folder: str | os.PathLike[str], limit: int | None = None) -> VolumeCache:
    """Return the cache in a folder. See `VolumeCache.at`."""
    return VolumeCache.at(folder, limit)


def _reading(image: Image, place: Path, record: dict[str, Any]) -> Image:
    original, path = image.source, place / VOXELS
    index = place / INDEX if INDEX in record["files"] else None
    copy: VolumeSource
    if record["reversed"]:
        copy = PreparedSource(path, original.affine, original.dtype)
    else:
        copy = NiftiSource(path)
    return image.with_source(CachedSource(copy, original, index))


def _add_index(entry: UnfinishedEntry, voxels: Array, kind: str) -> None:
    content = io.BytesIO()
    try:
        kept = save_index(content, voxels, kind)
    except ProbabilityError:  # the sampler says it, if there is one
        return
    if kept is not None:
        entry.add(INDEX, content.getvalue())


@lru_cache(maxsize=64)
def _warn_once(root: Path, reason: str) -> None:
    _logger.warning(
        "%s: a volume is not kept in the cache, %s; training goes on without it", root, reason
    )
