"""Subjects: the images of one person, animal or sample, and what is known about them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

from voxloom._errors import (
    FrozenError,
    SubjectError,
    UnknownImageError,
)
from voxloom._upstairs import call_by_name, draw, show
from voxloom.geometry import Box, Shape3, Space, box_of_slices
from voxloom.io import Shape4
from voxloom.subjects._agreement import (
    check_attribute,
    image_of_type,
    shared_space,
    shared_value,
)
from voxloom.subjects._default_collate import register_in_torch
from voxloom.subjects._image import Image
from voxloom.subjects._keys import INTENSITY, LABEL

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SPACE_TOLERANCE = 0.05

_FIELDS = ("_items", "_space", "_space_tolerance")
_CHANGING = {"add_image", "remove_image", "update", "pop", "popitem", "clear", "setdefault"}


class Subject(Mapping[str, Any]):
    """A frozen mapping of images and metadata that belong together.

    Parameters
    ----------
    items : mapping, optional
        Images and metadata by name, also for names that are no Python identifiers.
    space_tolerance : float
        How far, in voxels, a corner of one image may lie from its twin in another.
    **more
        Images and metadata by name.

    Raises
    ------
    SubjectError
        A ValueError and TypeError, if there is no image or a name would hide a method.

    Examples
    --------
    >>> import numpy as np
    >>> from voxloom.subjects import LabelMap, ScalarImage
    >>> voxels = np.zeros((1, 4, 4, 4), dtype=np.int16)
    >>> subject = Subject(t1=ScalarImage(tensor=voxels), seg=LabelMap(tensor=voxels), age=42)
    >>> subject.spatial_shape, subject.age, subject["seg"].type
    ((4, 4, 4), 42, 'label')
    >>> subject.replace(age=43).age
    43
    """

    __slots__ = (*_FIELDS, "__weakref__")

    _items: dict[str, Any]
    _space: Space | None
    _space_tolerance: float

    def __init__(
        self,
        items: Mapping[str, Any] | None = None,
        /,
        *,
        space_tolerance: float = SPACE_TOLERANCE,
        **more: Any,
    ) -> None:
        if items is not None and not isinstance(items, Mapping):
            raise SubjectError(f"a subject is made of one mapping, or keywords, got {items!r}")
        merged = {**(items or {}), **more}
        for name in merged:
            _check_name(type(self), name)
        if not any(isinstance(value, Image) for value in merged.values()):
            raise SubjectError(f"a subject has at least one image, got only {sorted(merged)}")
        tolerance = _checked_tolerance(space_tolerance)
        self._set(_items=merged, _space=None, _space_tolerance=tolerance)
        register_in_torch(Subject)

    def replace(self, /, *, space_tolerance: Any = None, **items: Any) -> Self:
        """Return a new subject with these images and metadata changed or added."""
        tolerance = self._space_tolerance if space_tolerance is None else space_tolerance
        return self._remade({**self._items, **items}, tolerance)

    def without(self, *names: str) -> Self:
        """Return a new subject that lacks these images and metadata."""
        for name in names:
            _ = self[name]
        kept = {name: value for name, value in self._items.items() if name not in names}
        return self._remade(kept, self._space_tolerance)

    def crop(self, box: Box) -> Self:
        """Return the subject with all images cropped to `box`. See `Image.crop`.

        ``subject[0:5, :, 2:-3]`` does the same: slices along W, H and D.
        """
        _ = self.spatial_shape
        images = self.get_images_dict(intensity_only=False)
        cropped = {name: image.crop(box) for name, image in images.items()}
        return self._remade({**self._items, **cropped}, self._space_tolerance)

    def get_images_dict(
        self,
        intensity_only: bool = True,
        include: Sequence[str] | None = None,
        exclude: Sequence[str] | None = None,
    ) -> dict[str, Image]:
        """Return the images by name; only those of intensities unless told otherwise."""
        return {
            name: value
            for name, value in self._items.items()
            if isinstance(value, Image)
            and (not intensity_only or value.type == INTENSITY)
            and (include is None or name in include)
            and (exclude is None or name not in exclude)
        }

    def get_images(
        self,
        intensity_only: bool = True,
        include: Sequence[str] | None = None,
        exclude: Sequence[str] | None = None,
    ) -> list[Image]:
        """Return the images in order; only those of intensities unless told otherwise."""
        return list(self.get_images_dict(intensity_only, include, exclude).values())

    def get_images_names(self) -> list[str]:
        """Return the names of all images."""
        return list(self.get_images_dict(intensity_only=False))

    def get_first_image(self) -> Image:
        """Return the first image."""
        return self.get_images(intensity_only=False)[0]

    def get_image(self, image_name: str) -> Image:
        """Return the image called `image_name`.

        Raises
        ------
        UnknownImageError
            A KeyError that names the images there are.
        """
        image = self._items.get(image_name)
        if not isinstance(image, Image):
            raise UnknownImageError(
                f"{self.describe()} has no image {image_name!r}; it has {self.get_images_names()}"
            )
        return image

    def get_scalar_image(self, image_name: str) -> Image:
        """Return the image of intensities called `image_name`.

        Raises
        ------
        UnknownImageError
            A KeyError, if there is no such image.
        SubjectError
            A TypeError and ValueError, if it is of another type.
        """
        return image_of_type(self, image_name, INTENSITY)

    def get_label_map(self, image_name: str) -> Image:
        """Return the label map called `image_name`; errors are those of `get_scalar_image`."""
        return image_of_type(self, image_name, LABEL)

    def is_2d(self) -> bool:
        """Tell whether all images are single slices, ``(W, H, 1)``."""
        return all(image.is_2d() for image in self.get_images(intensity_only=False))

    @property
    def space(self) -> Space:
        """The space that all images share.

        Raises
        ------
        SpaceMismatchError
            A RuntimeError and ValueError, if they do not.
        """
        if self._space is None:
            self._set(_space=shared_space(self, self._space_tolerance))
        assert self._space is not None
        return self._space

    @property
    def spatial_shape(self) -> Shape3:
        """``(W, H, D)`` of all images."""
        shared: Shape3 = shared_value(self, "spatial_shape")
        return shared

    @property
    def shape(self) -> Shape4:
        """``(C, W, H, D)`` of all images, where they have the same number of channels."""
        shared: Shape4 = shared_value(self, "shape")
        return shared

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Distance in mm between neighbouring voxels along each axis."""
        return self.space.spacing

    @property
    def space_tolerance(self) -> float:
        """How far, in voxels, a corner of one image may lie from its twin in another."""
        return self._space_tolerance

    def check_consistent_space(self) -> None:
        """Raise SpaceMismatchError unless all images share a space."""
        _ = self.space

    def check_consistent_attribute(
        self,
        attribute: str,
        relative_tolerance: float = 1e-6,
        absolute_tolerance: float = 1e-6,
    ) -> None:
        """Raise unless an attribute of the images, such as ``'spacing'``, is the same in all.

        Numbers are compared as `numpy.allclose` does, with these tolerances.

        Raises
        ------
        SpaceMismatchError
            A RuntimeError and ValueError that shows what each image has.
        """
        check_attribute(self, attribute, relative_tolerance, absolute_tolerance)

    def check_consistent_spatial_shape(self) -> None:
        """Raise SpaceMismatchError unless all images have the same number of voxels."""
        _ = self.spatial_shape

    def check_consistent_orientation(self) -> None:
        """Raise SpaceMismatchError unless the axes of all images point the same way."""
        self.check_consistent_attribute("orientation")

    def check_consistent_affine(self) -> None:
        """Raise SpaceMismatchError unless all affines are the same, to a millionth."""
        self.check_consistent_attribute("affine")

    @classmethod
    def from_torchio(cls, subject: Any) -> Subject:
        """Return a `torchio.Subject` as ours, over the same memory where it is loaded.

        See `voxloom.adapters.torchio.to_subject`.
        """
        made: Subject = call_by_name("voxloom.adapters.torchio", "to_subject", subject)
        return made

    def to_torchio(self) -> Any:
        """Return a `torchio.Subject` whose images share the memory of ``image.data``.

        See `voxloom.adapters.torchio.from_subject`.
        """
        return call_by_name("voxloom.adapters.torchio", "from_subject", self)

    @classmethod
    def from_monai(cls, items: Mapping[str, Any]) -> Subject:
        """Return a dictionary of MONAI as a subject, its MetaTensors as images over their memory.

        See `voxloom.adapters.monai.to_subject`.
        """
        made: Subject = call_by_name("voxloom.adapters.monai", "to_subject", items)
        return made

    def to_monai(self) -> dict[str, Any]:
        """Return a dictionary of MetaTensors that share the memory of ``image.data``.

        See `voxloom.adapters.monai.from_subject`.
        """
        made: dict[str, Any] = call_by_name("voxloom.adapters.monai", "from_subject", self)
        return made

    def load(self) -> Self:
        """Decode all images now and keep their voxels; return the subject itself."""
        for image in self.get_images(intensity_only=False):
            image.load()
        return self

    def unload(self) -> None:
        """Forget the voxels of all images, as `Image.unload` does for one."""
        for image in self.get_images(intensity_only=False):
            image.unload()

    def plot(self, image: str | None = None, labels: str | None = None, **options: Any) -> Figure:
        """Return a picture in three planes, labels in colour over an image.

        ``output_path`` is a file to write it to, ``return_fig=False`` returns None; other options
        and errors are those of `voxloom.view.plot_subject`.
        """
        figure: Figure = draw("plot_subject", self, image, labels, **options)
        return figure

    def _repr_html_(self) -> str:
        return str(show("describe_subject", self))

    def describe(self) -> str:
        """Return a short name for messages: the subject's id or name, or its first file."""
        for key in ("subject_id", "id", "name"):
            if isinstance(self._items.get(key), str | int):
                return f"subject {self._items[key]!r}"
        for image in self.get_images(intensity_only=False):
            if image.path is not None:
                return f"the subject of {image['path']!r}"
        return f"the subject with images {self.get_images_names()}"

    def __getitem__(self, name: Any) -> Any:
        if not isinstance(name, str):
            return self.crop(box_of_slices(name, self.spatial_shape))
        try:
            return self._items[name]
        except KeyError:
            raise UnknownImageError(
                f"{self.describe()} has no {name!r}; it has {list(self._items)}"
            ) from None

    def __getattr__(self, name: str) -> Any:
        if name in _CHANGING:
            raise FrozenError(
                f"a subject is frozen, it has no {name}; make a new one with "
                f"subject.replace(name=...) or subject.without(name)"
            )
        if name.startswith("_") or name not in self._items:
            raise AttributeError(f"a subject with {list(self)} has no attribute {name!r}")
        return self._items[name]

    def __contains__(self, name: object) -> bool:
        return name in self._items

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *(name for name in self._items if name.isidentifier())]

    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return id(self)

    def __setattr__(self, name: str, value: Any) -> None:
        raise FrozenError(
            f"a subject is frozen: {name} cannot be assigned; "
            f"make a new one with subject.replace({name}=...)"
        )

    def __setitem__(self, name: str, value: Any) -> None:
        self.__setattr__(name, value)

    def __delattr__(self, name: str) -> None:
        self.__delitem__(name)

    def __delitem__(self, name: str) -> None:
        raise FrozenError(
            f"a subject is frozen: {name} cannot be deleted; "
            f"make a new one with subject.without({name!r}), or subject.replace(...)"
        )

    def __getstate__(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in _FIELDS}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._set(**state)
        register_in_torch(Subject)

    def __repr__(self) -> str:
        images = len(self.get_images_names())
        return f"{type(self).__name__}(keys: {tuple(self)}; images: {images})"

    def _remade(self, items: dict[str, Any], space_tolerance: float) -> Self:
        changed = self.__class__.__new__(self.__class__)
        Subject.__init__(changed, items, space_tolerance=space_tolerance)
        return changed

    def _set(self, **values: Any) -> None:
        for name, value in values.items():
            object.__setattr__(self, name, value)


def _check_name(kind: type[Subject], name: Any) -> None:
    if not isinstance(name, str):
        raise SubjectError(f"names in a subject are text, got {name!r}")
    if name.startswith("_") or name in _CHANGING or _hides(kind, name):
        raise SubjectError(
            f"a subject cannot hold anything called {name!r}: it would hide the method or "
            f"attribute of that name; choose another name"
        )


def _hides(kind: type[Subject], name: str) -> bool:
    # hasattr would find what the metaclass has too, such as register
    return any(name in vars(one) for one in kind.__mro__)


def _checked_tolerance(tolerance: Any) -> float:
    try:
        voxels = float(tolerance)
    except (TypeError, ValueError):
        voxels = -1.0
    if not voxels >= 0:
        raise SubjectError(f"space_tolerance is a number of voxels, 0 or more, got {tolerance!r}")
    return voxels


def as_subject(value: Any, where: str) -> Subject:
    """Return `value` if it is a subject.

    Raises
    ------
    SubjectError
        If it is something else; `where` says who gave it.
    """
    if not isinstance(value, Subject):
        raise SubjectError(f"{where} should give a voxloom.Subject, got {kind_of(value)}")
    return value


def kind_of(value: Any) -> str:
    """Return what something is that is no subject, and what makes one of TorchIO's.

    Examples
    --------
    >>> kind_of([1, 2])
    'list'
    """
    kind = type(value)
    if kind.__module__.startswith("torchio."):
        return f"a {kind.__name__} of TorchIO; voxloom.Subject.from_torchio makes one of it"
    return kind.__name__
