"""Volumes decoded once, and kept for reads by region: what a data set does on the way."""

from __future__ import annotations

import io
import logging
import os
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Final, Self, final

import numpy as np

from voxloom._errors import (
    PreparedError,
    ProbabilityError,
    UnknownFormatError,
    VolumeNotFoundError,
    VoxloomError,
)
from voxloom.io import (
    Array,
    CachedSource,
    NiftiSource,
    PreparedSource,
    VolumeSource,
    files_of,
    nifti_header,
    reversed_axes,
)
from voxloom.patches import c_order_pieces, give_memory, kept_memory, save_index
from voxloom.prepared._cache_entry import VOXELS, UnfinishedEntry
from voxloom.prepared._cache_folder import INDEX, CacheFolder
from voxloom.prepared._cache_key import (
    ContentDigest,
    content_key,
    facts_of,
    outline_key,
    stamp_key,
)
from voxloom.subjects import Image, Subject

_logger: Final = logging.getLogger("voxloom")


@final
@dataclass(frozen=True, slots=True)
class _Visit:
    """An image that is asked for, and the state of its files when it was."""

    image: Image
    files: tuple[str, ...]
    facts: str
    stamp: str
    is_settled: bool
    as_decoded: bool
    due: tuple[int, int]

    @classmethod
    def of(cls, image: Image, as_decoded: bool, due: tuple[int, int] = (0, 0)) -> Self:
        """Look at the files of an image. An OSError is raised if that is not possible."""
        files = files_of(image.source)
        facts = f"{facts_of(image.source)} {image.type} as_decoded={as_decoded}"
        return cls(image, files, facts, *stamp_key(files, facts), as_decoded, due)

    @property
    def streams(self) -> bool:
        """Whether its bytes are read once, in order, into memory that can be used again."""
        source = self.image.source
        return not self.as_decoded and isinstance(source, NiftiSource) and source.unpacks_to_map

    def is_current(self) -> bool:
        """Whether the files are still as they were."""
        return stamp_key(self.files, self.facts)[0] == self.stamp


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
        wanted = _to_decode(subject)
        if not wanted:
            return subject
        due = self._due(visits_ahead)
        found = {name: self._image(image, as_decoded, due) for name, image in wanted.items()}
        return subject.replace(**found)

    def is_current(
        self, subject: Subject, cached: Subject, *, as_decoded: bool = False, visits_ahead: int = 0
    ) -> bool:
        """Tell whether `through` would give what it gave before, and count a visit if so.

        Parameters
        ----------
        subject, as_decoded, visits_ahead
            As for `through`.
        cached : Subject
            What it returned.
        """
        wanted = _to_decode(subject)
        keys = []
        for name, image in wanted.items():
            key = self._key_of_same(image, cached[name].source, as_decoded)
            if key is None:
                return False
            keys.append(key)
        _, due = self._due(visits_ahead)
        if self.folder.limit is not None:
            for key in keys:
                self.folder.mark(key, due)
        return True

    def _key_of_same(self, image: Image, source: VolumeSource, as_decoded: bool) -> str | None:
        """Return the name of the entry that a source reads, if it would still be read."""
        if not isinstance(source, CachedSource):
            return None
        try:
            visit = _Visit.of(image, as_decoded)
            key = self._key(visit)
            found = None if key is None else self.folder.find(key)
            if found is None or str(found[0] / VOXELS) != source.copy_path:
                return None
            source.hold()
        except OSError:  # whatever is wrong, opening the subject again says it better
            return None
        return key

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
        if not files_of(image.source):
            return image
        try:
            visit = _Visit.of(image, as_decoded, due)
            key = self._key(visit)
            found = None if key is None else self.folder.find(key)
        except OSError:  # whatever is wrong with the file, decoding it says it better
            return image
        kept = None if found is None else _reading(image, *found)
        if key is None or kept is None:
            return self._decoded(visit, key)
        if self.folder.limit is not None:
            self.folder.mark(key, due[1])
        return kept

    def _key(self, visit: _Visit) -> str | None:
        """Return the name of a volume, or None where decoding it tells, and it is not there."""
        known = self.folder.key_of(visit.stamp) if visit.is_settled else None
        if known is not None:
            return known
        if visit.streams and not self.folder.may_hold(outline_key(visit.files, visit.facts)):
            return None
        key = content_key(visit.files, visit.facts)
        if visit.is_settled:
            self.folder.note(visit.stamp, key)
        return key

    def _decoded(self, visit: _Visit, key: str | None) -> Image:
        """Decode a volume, and keep it if there is room."""
        image, source, voxels, found = visit.image, visit.image.source, None, None
        try:
            if visit.streams:
                key, voxels = self._read_once(visit, key)
                self._save(key, voxels, visit)
            elif key is not None and isinstance(source, NiftiSource) and source.unpacks_to_map:
                self._unpack(source, key, visit)
            elif key is not None:
                voxels = source.read()
                self._save(key, voxels, visit)
            found = None if key is None else self.folder.find(key)
        except VoxloomError:
            raise
        except OSError as error:
            _warn_once(self.folder.root, error.strerror or str(error))
        kept = None if found is None else _reading(image, *found)
        if kept is not None:
            return kept
        if voxels is None:
            voxels = source.read()
        give_memory("voxels")
        return image.with_data(voxels.astype(image.dtype, copy=False))

    def _read_once(self, visit: _Visit, key: str | None) -> tuple[str, Array]:
        """Decode a file into memory that is used again and again, and learn its name on the way."""
        source = visit.image.source
        assert isinstance(source, NiftiSource)
        memory = partial(kept_memory, "voxels")
        if key is not None:
            return key, source.decode_into(memory)
        digest = ContentDigest(visit.files, visit.facts)
        voxels = source.decode_into(memory, digest.add)
        digest.end_file()
        key = digest.key()
        if visit.is_settled and visit.is_current():
            self.folder.note(visit.stamp, key)
        return key, voxels

    def _unpack(self, source: NiftiSource, key: str, visit: _Visit) -> None:
        """Keep the file decoded, as it is: no volume is ever in memory on the way."""
        header = source.header

        def fill(entry: UnfinishedEntry) -> dict[str, Any] | None:
            for piece in source.unpack():
                entry.write(piece)
            return {"reversed": False} if visit.is_current() else None

        self.folder.save(key, header.offset + header.voxel_bytes, fill, visit.due)

    def _save(self, key: str, voxels: Array, visit: _Visit) -> None:
        """Keep decoded voxels: as they lie for a whole-volume transform, else as patches do."""
        image, as_decoded = visit.image, visit.as_decoded
        is_reversed = voxels.flags.c_contiguous or not as_decoded
        if not is_reversed and not np.moveaxis(voxels, 0, -1).flags.f_contiguous:
            return  # an order that no file of ours has
        if not visit.is_current():
            return
        affine = image.source.affine
        array, affine = reversed_axes(voxels, affine) if is_reversed else (voxels, affine)
        stored = array.view(np.uint8) if array.dtype == np.bool_ else array
        stored = stored.astype(stored.dtype.newbyteorder("<"), copy=False)
        try:
            header = nifti_header(VOXELS, stored.dtype, stored.shape, affine)
        except UnknownFormatError as error:
            _warn_once(self.folder.root, str(error))
            return

        def fill(entry: UnfinishedEntry) -> dict[str, Any]:
            entry.write(header)
            for piece in c_order_pieces(stored.transpose(0, 3, 2, 1)):
                entry.write(piece)
            if not as_decoded:
                _add_index(entry, voxels, image.type)
            return {"reversed": is_reversed}

        self.folder.save(key, len(header) + voxels.nbytes, fill, visit.due)


def open_cache(folder: str | os.PathLike[str], limit: int | None = None) -> VolumeCache:
    """Return the cache in a folder. See `VolumeCache.at`."""
    return VolumeCache.at(folder, limit)


def _to_decode(subject: Subject) -> dict[str, Image]:
    """Return the images that are neither in memory nor read by region."""
    return {
        name: image
        for name, image in subject.get_images_dict(intensity_only=False).items()
        if image.is_packed
    }


def _reading(image: Image, place: Path, record: dict[str, Any]) -> Image | None:
    """Return the image read from its entry, or None where another process just removed that."""
    original, path = image.source, place / VOXELS
    index = place / INDEX if INDEX in record["files"] else None
    copy: VolumeSource
    try:
        if record["reversed"]:
            copy = PreparedSource(path, original.affine, original.dtype)
        else:
            copy = NiftiSource(path)
        return image.with_source(CachedSource(copy, original, index))
    except VolumeNotFoundError:
        return None


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
