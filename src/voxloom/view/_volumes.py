"""Volumes in the browser: a page with NiiVue, and the volumes for which it asks."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, final

import numpy as np

from voxloom._errors import SubjectError
from voxloom.geometry import Affine
from voxloom.io import Array
from voxloom.io._write import nifti_header
from voxloom.patches import PatchSampler
from voxloom.subjects import LABEL, Subject, SubjectsDataset
from voxloom.view._figure import colour_of
from voxloom.view._page import fill_template, policy_hash
from voxloom.view._panel import as_labels
from voxloom.view._sampler import Locations, draw_locations
from voxloom.view._server import Answer, Content, PageServer

_FOLDER: Final = Path(__file__).parent
_NIIVUE: Final = _FOLDER / "vendor" / "niivue.umd.js"
_LINES: Final = 192  # a wall is one voxel thick where an axis has no more
_MOST_PATCHES: Final = 64
_MOST_LABELS: Final = 28  # a multiple of the number of colours, below the bands of the page
_BYTES: Final = "application/octet-stream"
_SHOWN_AS_THEY_ARE: Final = {"uint8", "int16", "float32"}


def serve_volumes(
    subjects: SubjectsDataset | Sequence[Subject],
    sampler: PatchSampler | None = None,
    num_patches: int = 8,
    *,
    seed: int = 0,
    port: int = 0,
) -> PageServer:
    """Serve a page that shows volumes, with sampled patches as boxes, to this machine.

    Three planes and a rendering by NiiVue, which comes with voxloom: nothing is asked of any
    other server. A volume is read when it is chosen on the page, and not kept.

    Parameters
    ----------
    subjects : SubjectsDataset or sequence of Subject
        What can be chosen. Only what is chosen is read.
    sampler : PatchSampler, optional
        What draws the patches whose boxes are shown; none if None.
    num_patches : int
        How many are drawn in each subject, 1 to 64.
    seed : int
        The boxes are those of ``sampler(subject, num_patches, rng=seed)``.
    port : int
        Where to listen on 127.0.0.1; 0 takes any that is free.

    Returns
    -------
    PageServer
        Open its `address`; `wait` or `close` it.

    Raises
    ------
    SubjectError
        A ValueError, if there is no subject, or the number of patches is another.
    OSError
        If the port is taken.

    Examples
    --------
    >>> from voxloom import ScalarImage, UniformSampler
    >>> subject = Subject(t1=ScalarImage(tensor=np.ones((1, 8, 8, 8))))
    >>> with serve_volumes([subject], UniformSampler(4)) as server:
    ...     server.address.startswith("http://127.0.0.1:")
    True
    """
    if not 1 <= num_patches <= _MOST_PATCHES:
        raise SubjectError(f"1 to {_MOST_PATCHES} patches can be shown, got {num_patches}")
    volumes = Volumes(subjects, sampler, num_patches, seed)
    return PageServer(render_volumes(volumes), volumes.answers(), port)


@final
class Volumes:
    """What the page may ask: volumes, patches, and the boxes around them."""

    def __init__(
        self,
        subjects: SubjectsDataset | Sequence[Subject],
        sampler: PatchSampler | None,
        num_patches: int,
        seed: int,
    ) -> None:
        self._dataset = subjects
        listed = subjects.dry_iter() if isinstance(subjects, SubjectsDataset) else list(subjects)
        if not listed:
            raise SubjectError("there is no subject to show")
        self._listed = listed
        self._sampler, self._num_patches, self._seed = sampler, num_patches, seed
        self._niivue = _NIIVUE.read_bytes()

    def answers(self) -> dict[str, Answer]:
        """Return what can be asked; nothing else is answered."""
        return {
            "niivue.js": lambda question: Content("text/javascript", self._niivue),
            "volume": self.volume,
            "patches": self.patches,
            "boxes": self.boxes,
        }

    def config(self) -> dict[str, Any]:
        """Return what the page knows from the start, ready for JSON."""
        return {
            "subjects": [
                {"name": str(one.get("subject_id", number)), "images": _list_images(one)}
                for number, one in enumerate(self._listed)
            ],
            "hasPatches": self._sampler is not None,
            "colours": [colour_of(label) for label in range(8)],
        }

    def volume(self, question: Mapping[str, str]) -> Content:
        """Return the first channel of an image as NIfTI; of a label map, all, as labels."""
        image = self._subject(question).get_image(question.get("image", ""))
        voxels = image.read()
        if image.type != LABEL:
            return Content(_BYTES, encode_nifti(voxels[0], image.affine))
        labels = as_labels(voxels)
        kind = f"{_BYTES}; folded=true" if labels.max(initial=0) > _MOST_LABELS else _BYTES
        return Content(kind, encode_nifti(fold_labels(labels), image.affine))

    def patches(self, question: Mapping[str, str]) -> dict[str, Any]:
        """Return the places of the patches of a subject, and their centres in mm."""
        subject = self._subject(question)
        places = self._places(subject)
        centres = places[:, :3] + (places[:, 3:] - places[:, :3]) // 2
        affine = subject.space.affine
        world = centres @ affine[:3, :3].T + affine[:3, 3]
        return {"locations": places.tolist(), "centres": world.round(3).tolist()}

    def boxes(self, question: Mapping[str, str]) -> Content:
        """Return the faces of the boxes of all patches as a volume, numbered from 1."""
        subject = self._subject(question)
        walls = draw_boxes(subject.spatial_shape, self._places(subject))
        return Content(_BYTES, encode_nifti(fold_labels(walls), subject.space.affine))

    def _subject(self, question: Mapping[str, str]) -> Subject:
        number = question.get("subject", "")
        if not (number.isascii() and number.isdecimal() and int(number) < len(self._listed)):
            raise SubjectError(f"subjects go from 0 to {len(self._listed) - 1}, got {number!r}")
        if isinstance(self._dataset, SubjectsDataset) and self._dataset.transform is not None:
            return self._dataset[int(number)]
        return self._listed[int(number)]

    def _places(self, subject: Subject) -> Locations:
        if self._sampler is None:
            raise SubjectError("no sampler was given, so there are no patches")
        return draw_locations(self._sampler, subject, self._num_patches, self._seed)


def render_volumes(volumes: Volumes) -> str:
    """Return the page as HTML."""
    style, script, page = (_read(f"volumes.{suffix}") for suffix in ("css", "js", "html"))
    script = f'"use strict";\n(() => {{\n{script}}})();\n'
    policy = (
        f"default-src 'none'; script-src 'self' {policy_hash(script)} 'wasm-unsafe-eval'; "
        f"style-src {policy_hash(style)}; img-src data: blob:; connect-src 'self' data:; "
        "base-uri 'none'; form-action 'none'"
    )
    config = json.dumps(volumes.config()).replace("<", "\\u003c")
    return fill_template(
        page, {"policy": policy, "config": config, "style": style, "script": script}
    )


def draw_boxes(spatial_shape: Sequence[int], locations: Locations) -> Array:
    """Return the outer voxels of each box, numbered from 1, in a volume ``(W, H, D)`` uint8.

    Walls are thicker along long axes, or they would fall between the pixels of a small screen.
    What lies outside the volume, as patches that are padded do, is left out.

    Examples
    --------
    >>> walls = draw_boxes((5, 5, 5), np.array([[0, 0, 0, 4, 4, 4]]))
    >>> int((walls == 1).sum()), int(walls[1, 1, 1])
    (56, 0)
    """
    walls = np.zeros(spatial_shape, dtype=np.uint8)
    for number, place in enumerate(locations.tolist(), start=1):
        first, last = place[:3], [end - 1 for end in place[3:]]
        inside = [slice(max(a, 0), max(b + 1, 0)) for a, b in zip(first, last, strict=True)]
        for axis, length in enumerate(spatial_shape):
            thick = -(-length // _LINES)
            for begin in (first[axis], last[axis] - thick + 1):
                wall = slice(max(begin, first[axis], 0), max(min(begin + thick, last[axis] + 1), 0))
                walls[(*inside[:axis], wall, *inside[axis + 1 :])] = number
    return walls


def encode_nifti(voxels: Array, affine: Affine) -> bytes:
    """Return a volume ``(W, H, D)`` as the bytes of a NIfTI file, in a type that browsers read."""
    known = voxels.dtype.name in _SHOWN_AS_THEY_ARE
    shown = voxels if known else voxels.astype(np.uint8 if voxels.dtype == bool else np.float32)
    shown = shown.astype(shown.dtype.newbyteorder("<"), copy=False)
    w, h, d = shown.shape
    return nifti_header("the page", shown.dtype, (1, w, h, d), affine) + shown.tobytes(order="F")


def fold_labels(labels: Array) -> Array:
    """Return labels as uint8 from 0 to 28, all of their colour: 29 becomes 1, 30 becomes 2.

    Examples
    --------
    >>> fold_labels(np.array([-1, 0, 1, 28, 29, 1000])).tolist()
    [0, 0, 1, 28, 1, 20]
    """
    whole = labels.astype(np.int64)
    return np.asarray(np.where(whole > 0, (whole - 1) % _MOST_LABELS + 1, 0), dtype=np.uint8)


def _list_images(subject: Subject) -> list[dict[str, Any]]:
    images = subject.get_images_dict(intensity_only=False)
    return [{"name": name, "isLabel": image.type == LABEL} for name, image in images.items()]


def _read(name: str) -> str:
    return (_FOLDER / "volumes" / name).read_text(encoding="utf-8")
