"""What every sampler keeps: run it on your own."""

from __future__ import annotations

import gc
import pickle
import weakref
from itertools import islice

import numpy as np

from voxloom._errors import VoxloomError
from voxloom._random import Stream
from voxloom.geometry import Box, Index3
from voxloom.patches import Draw, PatchSampler, copy_box
from voxloom.subjects import Subject


def check_sampler(
    sampler: PatchSampler, subject: Subject, *, patches: int = 20, seed: int = 0
) -> None:
    """Raise AssertionError unless `sampler` keeps the contract of `PatchSampler`.

    A patch depends on its own generator only, not on what was drawn before; a sampler that
    went through pickle, as to a worker, chooses the same places; patches lie in the volume
    or are padded, hold what the volume holds there, carry everything else along, and keep
    no volume alive; asking for 0 patches gives none, for fewer is an error.

    Parameters
    ----------
    sampler : PatchSampler
        Your sampler.
    subject : Subject
        A subject that it can sample.
    patches : int
        How many patches are looked at.
    seed : int
        Seed of the generators handed to the sampler.

    Raises
    ------
    AssertionError
        If the contract is broken; the message says where.

    Examples
    --------
    >>> from voxloom.patches import UniformSampler
    >>> from voxloom.subjects import ScalarImage
    >>> subject = Subject(t1=ScalarImage(tensor=np.zeros((1, 8, 8, 8))))
    >>> check_sampler(UniformSampler(4), subject)
    """
    _check(isinstance(sampler, PatchSampler), f"{sampler!r} derives from PatchSampler")
    places = _check_places(sampler, subject, patches, seed)
    _check_pickle(sampler, subject, places, seed)
    _check_counts(sampler, subject)
    for patch, place in zip(sampler(subject, patches, rng=seed), places, strict=True):
        _check_patch(sampler, subject, patch, place)
    _check_ownership(sampler, subject)


def _check_places(sampler: PatchSampler, subject: Subject, count: int, seed: int) -> list[Index3]:
    draw = sampler.prepare(subject)
    places = _places(draw, count, seed)
    for place in places:
        sampler.box_at(subject.spatial_shape, place)
    _check(places == _places(draw, count, seed), "the same generators give the same places")
    backwards = [draw(Stream(seed, "direct").at(n)) for n in reversed(range(count))]
    _check(
        [tuple(p) for p in reversed(backwards)] == [tuple(p) for p in places],
        "a place depends on its own generator only, not on the places drawn before",
    )
    alone = [sampler.locate(subject, Stream(seed, "direct").at(n)) for n in range(min(count, 3))]
    _check(
        [tuple(p) for p in alone] == [tuple(p) for p in places[:3]],
        "locate(subject, rng) gives what prepare(subject)(rng) gives",
    )
    return places


def _check_pickle(sampler: PatchSampler, subject: Subject, places: list[Index3], seed: int) -> None:
    try:
        copied = pickle.loads(pickle.dumps(sampler))
    except Exception as error:
        raise AssertionError(
            f"a sampler is sent to workers, so it can be pickled, and its class is defined in a "
            f"module, not in a function or a notebook; got {error!r}"
        ) from error
    again = _places(copied.prepare(subject), len(places), seed)
    _check(again == places, "a pickled copy chooses the same places")


def _check_counts(sampler: PatchSampler, subject: Subject) -> None:
    _check(len(list(sampler(subject, 0, rng=0))) == 0, "num_patches=0 gives no patch")
    endless = list(islice(sampler(subject, rng=0), 3))
    _check(len(endless) == 3, "num_patches=None never ends")
    try:
        sampler(subject, -1)
    except VoxloomError:
        return
    raise AssertionError("num_patches=-1 is an error when the sampler is called")


def _check_patch(sampler: PatchSampler, subject: Subject, patch: Subject, place: Index3) -> None:
    box = Box.at(place, sampler.patch_size)
    _check(
        patch["location"].tolist() == [*box.index_ini, *box.index_fin],
        f"location says {patch['location'].tolist()}, the place is {box}",
    )
    _check(
        set(patch) == {*subject, "index_ini", "location"},
        f"a patch has what the subject has, {list(subject)}; got {list(patch)}",
    )
    for name, image in subject.get_images_dict(intensity_only=False).items():
        expected = np.empty((image.shape[0], *box.size), dtype=image.dtype)
        copy_box(image.array, box, expected, sampler.padding_mode)
        _check(
            np.array_equal(patch[name].array, expected, equal_nan=expected.dtype.kind == "f"),
            f"image {name!r} of the patch at {place} holds other voxels than the volume",
        )


def _check_ownership(sampler: PatchSampler, subject: Subject) -> None:
    images = subject.get_images_dict(intensity_only=False)
    copies = {name: image.with_data(image.array.copy()) for name, image in images.items()}
    volumes = [weakref.ref(image.array) for image in copies.values()]
    patch = next(sampler(subject.replace(**copies), rng=0))
    del copies
    gc.collect()
    _check(
        all(volume() is None for volume in volumes),
        f"{type(sampler).__name__} keeps a volume alive after its patch {patch!r} was cut",
    )


def _places(draw: Draw, count: int, seed: int) -> list[Index3]:
    stream = Stream(seed, "direct")
    return [draw(stream.at(n)) for n in range(count)]


def _check(holds: bool, rule: str) -> None:
    if not holds:
        raise AssertionError(f"the contract of samplers is broken: {rule}")
