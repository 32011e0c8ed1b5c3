"""What is done to a subject, in whichever process: read, transform, locate, cut."""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, NamedTuple
from weakref import WeakKeyDictionary

from voxloom._random import Stream
from voxloom.geometry import Box, Index3, Shape3
from voxloom.io import CachedSource
from voxloom.loading._memory import available_bytes, let_go_of_freed
from voxloom.loading._memory_cache import MemoryCache, StoredVolumes, to_store
from voxloom.loading._patch_transform import (
    Changed,
    ChangedPatch,
    PatchTransform,
    change_patch,
    cut_own,
    outline_of,
)
from voxloom.loading._revisits import Revisits
from voxloom.loading._seeding import call_seeded
from voxloom.loading._slots import Layout
from voxloom.loading._stages import StageClock, StageError
from voxloom.loading._window import Bytes
from voxloom.patches import GridSampler, PatchSampler, copy_image_boxes, is_first_axis_fastest
from voxloom.subjects import Image, Subject, SubjectsDataset, as_subject, lazy_copy, load_copy

# A larger subject would let the first batch wait: to read this takes a disk a quarter of a second.
_MOST_BROUGHT_IN: Final = 512 << 20

Pairs = tuple[tuple[int, int], ...]
"""Place in the plan and number within the subject of some patches, soonest due first."""


class Job(NamedTuple):
    """Patches to make from one decoded subject: a residency, or what is left of it.

    Attributes
    ----------
    number : int
        Its place among all jobs of this queue.
    subject, epoch : int
        Index of the subject in the data set; which epoch the patches belong to.
    places : Pairs
        Where its patches are in the plan, and which of the subject's they are.
    is_joined : bool
        Whether they were single patches, each of which any worker could make.
    """

    number: int
    subject: int
    epoch: int
    places: Pairs
    is_joined: bool = False


@dataclass(frozen=True, slots=True)
class WorkSpec:
    """Everything a worker needs to know; it is sent to each worker once.

    Attributes
    ----------
    patches_per_subject : int
        How many patches an epoch cuts out of a subject, at most.
    """

    dataset: Any
    sampler: PatchSampler | GridSampler
    seed: int
    patch_transform: PatchTransform | None = None
    revisits: Revisits | None = None
    patches_per_subject: int = 1


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Opened:
    """A subject that is ready to be cut.

    Attributes
    ----------
    is_lasting : bool
        Whether it is the same in every epoch, and holds no volume that was decoded for it.
    is_cached : bool
        Whether that is so only as long as the files are as they were, and a cache has them.
    stored : tuple of StoredVolume or None
        Which of its volumes the memory cache has; None if it was not asked to keep any yet.
    """

    subject: Subject
    layout: Layout
    place: Callable[[int, int], Index3]
    spatial_shape: Shape3
    border: Index3 = (0, 0, 0)
    is_lasting: bool = False
    is_cached: bool = False
    stored: StoredVolumes | None = None

    @property
    def stays_in_memory(self) -> bool:
        """Whether all that was decoded for it lies in the memory cache."""
        return self.is_cached and bool(self.stored)

    @contextmanager
    def at_hand(self) -> Iterator[None]:
        """Look at its files once for all patches that are cut meanwhile."""
        images = self.subject.get_images(intensity_only=False)
        try:
            for image in images:
                image.hold_map()
            yield
        finally:
            for image in images:
                image.let_go_of_map()

    def outline(self) -> Subject:
        """Return the subject with one voxel an image: what the trainer needs to know of it."""
        return outline_of(self.subject)


class Workshop:
    """Makes patches: a pure function of its specification and the job, so a retry is a call."""

    def __init__(
        self,
        spec: WorkSpec,
        enter: Callable[[str], None] | None = None,
        cache: MemoryCache | None = None,
    ) -> None:
        self._spec, self._cache = spec, cache
        self._clock = StageClock(enter)
        self._as_stored: WeakKeyDictionary[Opened, Layout] = WeakKeyDictionary()
        if self.changes_patches:  # its patches have tensors; brought in later, torch counts as crop
            importlib.import_module("torch")

    def take_seconds(self) -> dict[str, float]:
        """Return how long each stage took since the last call."""
        return self._clock.take()

    def open(
        self,
        subject: int,
        epoch: int,
        place: int = 0,
        kept: Opened | None = None,
        stored: StoredVolumes | None = (),
    ) -> Opened:
        """Read, decode and transform a subject, and prepare the sampler for it.

        Parameters
        ----------
        subject, epoch : int
            Index of the subject in the data set; which epoch it is opened for.
        place : int
            That of its first patch in the plan: a cache is told when it is wanted again.
        kept : Opened, optional
            What is left of an earlier visit; it is returned if opening would give the same.
        stored : tuple of StoredVolume or None
            Which of its volumes the memory cache has; None if it may keep them now.

        Raises
        ------
        StageError
            Around whatever went wrong.
        """
        run = self._clock.run
        if kept is not None and self._clock.run_load(
            lambda: self._is_current(kept, subject, epoch, place)
        ):
            return kept
        loaded, stored = self._clock.run_load(lambda: self._load(subject, epoch, place, stored))
        transformed = run("transform", lambda: self._transform(loaded, subject, epoch))
        locate = run("locate", lambda: self._prepare(transformed, subject))
        layout = Layout.of(transformed, self._spec.sampler.patch_size)
        border = self._border(transformed)
        is_cached = self._is_cached(transformed, subject, stored)
        is_lasting = is_cached or self._is_as_given(transformed, subject)
        shape = transformed.spatial_shape
        opened = Opened(transformed, layout, locate, shape, border, is_lasting, is_cached, stored)
        if opened.stays_in_memory:  # what decoding and indexing took is not needed again
            let_go_of_freed()
        return opened

    def locate(self, opened: Opened, patch: int, epoch: int) -> Box:
        """Return where a patch of the subject lies."""
        return self._clock.run("locate", lambda: self._box(opened, patch, epoch))

    def cut(self, opened: Opened, box: Box, memory: Bytes, layout: Layout | None = None) -> None:
        """Write the patch in `box` into `memory`, laid out as `layout` says, or `opened.layout`."""
        images = opened.subject.get_images_dict(intensity_only=False)
        views = (opened.layout if layout is None else layout).views(memory)
        mode = self._spec.sampler.padding_mode
        self._clock.run("crop", lambda: copy_image_boxes(images, box, views, mode))

    @property
    def changes_patches(self) -> bool:
        """Whether there is a patch transform."""
        return self._spec.patch_transform is not None

    def change(self, opened: Opened, box: Box, job: Job, patch: int) -> ChangedPatch:
        """Cut the patch in `box` and return what the patch transform makes of it."""
        transform, mode = self._spec.patch_transform, self._spec.sampler.padding_mode
        assert transform is not None
        given = self._clock.run("crop", lambda: cut_own(opened.subject, box, mode, opened.border))
        stream = self._stream("patch transform", job.subject)
        return self._clock.run(
            "patch transform",
            lambda: change_patch(transform, given, stream, patch=patch, epoch=job.epoch),
        )

    def pack(self, changed: ChangedPatch, box: Box) -> Changed:
        """Return what crosses to the trainer beside the voxels of a changed patch."""
        return self._clock.run("patch transform", lambda: changed.pack(box.size))

    def layout_as_stored(self, opened: Opened) -> Layout:
        """Return the layout of patches that lie as their volumes do, so that none is turned."""
        if opened not in self._as_stored:
            self._as_stored[opened] = opened.layout
            if not self.changes_patches:
                with suppress(Exception):  # whatever is wrong, cutting says it better
                    self._as_stored[opened] = _as_stored(opened)
        return self._as_stored[opened]

    def layout(self, opened: Opened, job: Job) -> Layout:
        """Return what the patches of a job look like, going by its first where they change.

        Of those that can be made, if any: one that cannot is reported when its turn comes, alone.
        """
        if not self.changes_patches:
            return opened.layout
        for _, patch in job.places:
            with suppress(StageError):
                box = self.locate(opened, patch, job.epoch)
                return self.change(opened, box, job, patch).layout
        return opened.layout

    def _prepare(self, subject: Subject, index: int) -> Callable[[int, int], Index3]:
        """Return what gives the first voxel of a patch of an epoch."""
        sampler = self._spec.sampler
        if isinstance(sampler, GridSampler):
            subject.check_consistent_space()
            places = sampler.places(subject.spatial_shape)
            return lambda patch, epoch: places[patch]
        draw, stream = sampler.prepare(subject), self._stream("patch", index)
        return lambda patch, epoch: draw(stream.at(patch, epoch=epoch))

    def _border(self, subject: Subject) -> Index3:
        """Return the voxels of padding that locations of this subject's patches count."""
        sampler = self._spec.sampler
        return sampler.grid_of(subject).border if isinstance(sampler, GridSampler) else (0, 0, 0)

    def _box(self, opened: Opened, patch: int, epoch: int) -> Box:
        sampler, place = self._spec.sampler, opened.place(patch, epoch)
        if isinstance(sampler, GridSampler):
            return Box.at(place, sampler.patch_size)
        return sampler.box_at(opened.spatial_shape, place)

    def _is_as_given(self, subject: Subject, index: int) -> bool:
        dataset = self._spec.dataset
        return _is_plain(dataset) and subject is dataset.dry_iter()[index]

    def _is_cached(self, subject: Subject, index: int, stored: StoredVolumes | None) -> bool:
        """Tell whether caches gave what has to be decoded, and nothing was changed since."""
        dataset = self._spec.dataset
        if not _is_plain(dataset) or dataset.transform is not None:
            return False
        given = dataset.dry_iter()[index]
        in_memory = {volume.name for volume in stored or ()}
        own = [
            name in in_memory or isinstance(image.source, CachedSource)
            for name, image in subject.get_images_dict(intensity_only=False).items()
            if image is not given[name]
        ]
        return bool(own) and all(own)

    def _is_current(self, kept: Opened, index: int, epoch: int, place: int) -> bool:
        dataset = self._spec.dataset
        if kept.stored and self._cache is not None:
            return self._cache.is_current(dataset.dry_iter()[index], kept.stored)
        current: bool = dataset.is_current(index, kept.subject, self._visits_ahead(epoch, place))
        return current

    def _visits_ahead(self, epoch: int, place: int) -> int | None:
        revisits = self._spec.revisits
        return None if revisits is None else revisits.after(epoch, place)

    def _stream(self, domain: str, subject: int) -> Stream:
        return Stream(self._spec.seed, domain, subject)

    def _load(
        self, index: int, epoch: int, place: int, stored: StoredVolumes | None
    ) -> tuple[Subject, StoredVolumes | None]:
        """Return a subject that is ready for the transform, and what the memory cache has of it."""
        dataset = self._spec.dataset
        if not _is_plain(dataset):  # whatever it does to a subject is its own affair
            stream = self._stream("transform", index)
            subject = call_seeded(dataset.__getitem__, index, stream, patch=0, epoch=epoch)
            return as_subject(subject, f"item {index} of the data set"), ()
        if dataset.transform is not None and not dataset.load_getitem:
            return lazy_copy(dataset.dry_iter()[index]), ()  # the transform may load and change it
        subject = dataset.peek(index, self._visits_ahead(epoch, place))
        kept, stored = self._from_cache(subject, stored)
        if dataset.transform is None:
            self._bring_in(subject)
            return _decode(subject, kept), stored
        return load_copy(subject, {name: image.array for name, image in kept.items()}), stored

    def _bring_in(self, subject: Subject) -> None:
        """Read maps whole, if an epoch wants as much of them, and those of all subjects fit."""
        images = subject.get_images(intensity_only=False)
        wanted = self._spec.patches_per_subject * math.prod(self._spec.sampler.patch_size)
        if wanted >= max((math.prod(image.spatial_shape) for image in images), default=0):
            nbytes = sum(image.memory for image in images)
            if nbytes <= _MOST_BROUGHT_IN and nbytes * len(self._spec.dataset) <= self._room:
                for image in images:
                    image.source.bring_in()

    @cached_property
    def _room(self) -> int:
        """Bytes of files that can be in memory together with all else: half of what is left."""
        return (available_bytes() or 0) // 2

    def _from_cache(
        self, subject: Subject, stored: StoredVolumes | None
    ) -> tuple[dict[str, Image], StoredVolumes | None]:
        """Return the images that the memory cache has, or takes now."""
        if self._cache is None or stored == ():
            return {}, stored
        if stored is None:
            return self._cache.store(
                to_store(subject), as_decoded=self._spec.dataset.transform is not None
            )
        found = self._cache.recall(subject, stored)
        return found, stored if len(found) == len(stored) else None

    def _transform(self, subject: Subject, index: int, epoch: int) -> Subject:
        dataset = self._spec.dataset
        if not _is_plain(dataset) or dataset.transform is None:
            return subject
        stream = self._stream("transform", index)
        changed = call_seeded(
            dataset.transform,
            subject,
            stream,
            patch=0,
            epoch=epoch,
            again=lambda: self._load(index, epoch, 0, ())[0],
        )
        return as_subject(changed, "the transform of the data set")


def count_cacheable(dataset: Any) -> int:
    """Return how many subjects may stay decoded in memory: none where a folder has them."""
    return len(dataset) if _is_plain(dataset) and not dataset.has_cache else 0


def _is_plain(dataset: Any) -> bool:
    """Tell whether a data set is ours, so that its steps can be taken one by one."""
    return type(dataset).__getitem__ is SubjectsDataset.__getitem__


def _as_stored(opened: Opened) -> Layout:
    images = opened.subject.get_images_dict(intensity_only=False).values()
    orders = ["F" if is_first_axis_fastest(image) else "C" for image in images]
    return opened.layout.in_orders("".join(orders))


def _decode(subject: Subject, kept: Mapping[str, Image]) -> Subject:
    """Decode the images that cannot be read by region; leave the others on disk."""
    whole = {
        name: kept[name] if name in kept else image.with_data(image.read())
        for name, image in subject.get_images_dict(intensity_only=False).items()
        if image.is_packed
    }
    return subject.replace(**whole) if whole else subject
