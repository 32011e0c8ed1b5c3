"""MONAI's transforms on our subjects, and subjects as MONAI's dictionaries.

Voxels travel as `monai.data.MetaTensor` with the affine of the image, so that spatial transforms
move the affine too. MONAI comes with ``pip install 'voxloom[monai]'``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final, final

import numpy as np

from voxloom._errors import TransformError
from voxloom._extras import import_extra
from voxloom.adapters._seed import Randomness, seed_from
from voxloom.adapters._transform import check_transform
from voxloom.geometry import Affine
from voxloom.loading._seeding import seeded_globals
from voxloom.subjects import (
    AFFINE,
    DATA,
    INTENSITY,
    LABEL,
    PATH,
    STEM,
    TYPE,
    Image,
    LabelMap,
    ScalarImage,
    Subject,
    as_subject,
    load_copy,
)

if TYPE_CHECKING:
    import torch

_OWN_KEYS: Final = (DATA, AFFINE, TYPE, PATH, STEM)


def wrap(transform: Callable[..., Any], keys: Sequence[str] | None = None) -> MonaiTransform:
    """Return a transform of MONAI as a transform of our subjects.

    Parameters
    ----------
    transform : callable
        A dictionary transform, or a Compose of them: it finds each image of the subject as a
        MetaTensor ``(C, W, H, D)`` under its name, and all metadata as they are. Or an array
        transform, which is called for each image in `keys` with the same randomness. Intensities
        that are whole numbers come to either as float32, as after LoadImaged.
    keys : sequence of str, optional
        The images of an array transform. A dictionary transform has keys of its own.

    Returns
    -------
    MonaiTransform
        Picklable, if `transform` is.

    Raises
    ------
    TransformError
        A ValueError, unless keys are given for an array transform and for no other.

    Examples
    --------
    >>> from monai.transforms import RandFlipd
    >>> flip = wrap(RandFlipd(["t1"], prob=1, spatial_axis=0))
    >>> subject = Subject(t1=ScalarImage(tensor=np.arange(3.0).reshape(1, 3, 1, 1)), age=42)
    >>> flipped = flip(subject, rng=0)
    >>> flipped.t1.array.ravel().tolist(), flipped.t1.affine[0].tolist(), flipped.age
    ([2.0, 1.0, 0.0], [-1.0, 0.0, 0.0, 2.0], 42)
    """
    check_transform(transform)
    is_of_arrays = _takes_array(transform)
    if is_of_arrays and keys is None:
        raise TransformError(
            f"{_name(transform)} takes arrays, not dictionaries: say which images it is for, "
            f"wrap(transform, keys=['t1']), or use {_name(transform)}d(keys=['t1'])"
        )
    if keys is not None and not is_of_arrays:
        raise TransformError(
            f"{_name(transform)} takes dictionaries and has keys of its own; got keys={keys!r}"
        )
    return MonaiTransform(transform, None if keys is None else tuple(keys))


@final
@dataclass(frozen=True, slots=True)
class MonaiTransform:
    """A transform of MONAI that takes and gives subjects. Made by `wrap`."""

    seeds_globals: ClassVar[bool] = True
    """Some of MONAI's draw from NumPy's or torch's generators: workers are processes."""

    transform: Callable[..., Any]
    keys: tuple[str, ...] | None

    def __call__(self, subject: Subject, rng: Randomness = None) -> Subject:
        """Return the transformed subject; what is drawn depends on `rng` alone.

        Parameters
        ----------
        subject : Subject
            A volume or a patch.
        rng : numpy.random.Generator or int, optional
            Gives one word ``s``. The result is that of ``transform.set_random_state(s % 2**32)``
            with the global generators of `random`, NumPy and torch seeded by ``s`` for the
            call. None takes ``s`` from torch's generator.

        Raises
        ------
        TransformError
            A ValueError, if the transform gives something that is no subject, or would read
            images that are read already.
        RuntimeError
            MONAI's own, if a part of a Compose fails; it names the part and the reason.
        """
        as_subject(subject, f"what {_name(self.transform)} is called with")
        seed = seed_from(rng)
        # some transforms of MONAI work in place
        own = load_copy(subject)
        with seeded_globals(seed):
            changed = self._on_dictionary(own, seed) if self.keys is None else dict(own)
            for key in self.keys or ():
                changed[key] = self._called(_as_meta_tensor(own.get_image(key)), seed)
        return to_subject(_applied(changed), like=subject)

    def _on_dictionary(self, subject: Subject, seed: int) -> dict[str, Any]:
        changed = self._called(from_subject(subject), seed)
        if isinstance(changed, list) and len(changed) == 1:
            [changed] = changed
        if not isinstance(changed, Mapping):
            number = len(changed) if isinstance(changed, list) else "no"
            raise TransformError(
                f"{_name(self.transform)} should give one dictionary, got "
                f"{type(changed).__name__} ({number} dictionaries); a sampler of voxloom cuts "
                f"several patches of a subject, a transform gives one subject"
            )
        return dict(changed)

    def _called(self, given: Any, seed: int) -> Any:
        if hasattr(self.transform, "set_random_state"):
            self.transform.set_random_state(seed=seed % 2**32)
        try:
            return self.transform(given)
        except Exception as error:
            _explain_reading(self.transform, given, error)
            _name_reason(error)
            raise


def from_subject(subject: Subject) -> dict[str, Any]:
    """Return a subject as MONAI's transforms take it.

    Parameters
    ----------
    subject : Subject
        Images that are not loaded are decoded.

    Returns
    -------
    dict
        Each image is a MetaTensor ``(C, W, H, D)`` with its affine (RAS+, mm, float64) and its
        metadata in ``meta``. Intensities that are whole numbers become float32, as LoadImaged
        makes them; others lie over the memory of ``image.data``. The rest is as it was.

    Examples
    --------
    >>> subject = Subject(t1=ScalarImage(tensor=np.zeros((1, 2, 3, 4))), age=42)
    >>> items = from_subject(subject)
    >>> type(items["t1"]).__name__, tuple(items["t1"].shape), items["age"]
    ('MetaTensor', (1, 2, 3, 4), 42)
    """
    return {
        name: _as_meta_tensor(value) if isinstance(value, Image) else value
        for name, value in subject.items()
    }


def to_subject(items: Mapping[str, Any], like: Subject | None = None) -> Subject:
    """Return a dictionary of MONAI as a subject.

    Parameters
    ----------
    items : mapping
        MetaTensors ``(C, W, H, D)`` become images over the same memory, of the type that
        ``meta['type']`` says, else of intensities. The rest is metadata.
    like : Subject, optional
        Images with a name of this subject keep its type, path and metadata, and may be plain
        tensors or arrays, as long as they have its spatial shape.

    Raises
    ------
    TransformError
        A ValueError, if a plain tensor has another spatial shape than the image it replaces.

    Examples
    --------
    >>> import torch
    >>> from monai.data import MetaTensor
    >>> tensor = MetaTensor(torch.zeros(1, 2, 2, 2), meta={"type": "label"})
    >>> to_subject({"seg": tensor, "age": 42}).seg.type
    'label'
    """
    made = {name: _as_item(name, value, like) for name, value in items.items()}
    if like is None:
        _check_has_image(made)
        return Subject(made)
    return like.replace(**made).without(*(name for name in like if name not in made))


def make_unet(
    in_channels: int, out_channels: int, channels: Sequence[int], norm: str = "instance"
) -> Any:
    """Return MONAI's 3D U-Net with one residual unit a level, each level half the size.

    Parameters
    ----------
    in_channels, out_channels : int
        Channels of ``(B, C, W, H, D)`` in and out.
    channels : sequence of int
        Features of each level, the finest first.
    norm : str
        MONAI's name of a normalisation.

    Raises
    ------
    MissingExtraError
        An ImportError, if MONAI is not installed.

    Examples
    --------
    >>> import torch
    >>> network = make_unet(1, 3, (4, 8))
    >>> tuple(network(torch.zeros(1, 1, 16, 16, 16)).shape)
    (1, 3, 16, 16, 16)
    """
    networks = import_extra("monai.networks.nets", "monai")
    strides = [2] * (len(channels) - 1)
    return networks.UNet(
        3, in_channels, out_channels, channels, strides, num_res_units=1, norm=norm
    )


def _as_meta_tensor(image: Image) -> Any:
    import torch

    meta = {key: image[key] for key in image if key not in _OWN_KEYS}
    meta |= {TYPE: image.type, "spatial_shape": np.array(image.spatial_shape), "space": "RAS"}
    meta["original_affine"] = image.affine
    meta["original_channel_dim"] = 0  # so that EnsureChannelFirstd leaves it as it is
    if image.path is not None:
        meta["filename_or_obj"] = image[PATH]
    affine = torch.from_numpy(image.affine)
    voxels = _as_monai_reads(image)
    return import_extra("monai.data", "monai").MetaTensor(voxels, affine=affine, meta=meta)


def _as_monai_reads(image: Image) -> torch.Tensor:
    """Return voxels that no arithmetic wraps around: uint8 220 + 50 is not 14."""
    voxels = image.data
    is_whole = not (voxels.is_floating_point() or voxels.is_complex())
    return voxels.float() if is_whole and image.type == INTENSITY else voxels


def _as_item(name: str, value: Any, like: Subject | None) -> Any:
    if isinstance(value, Image):
        return value
    before = None if like is None else like.get(name)
    image = before if isinstance(before, Image) else None
    affine = getattr(value, "affine", None)
    if affine is None or value.ndim != 4:
        return _with_voxels(name, value, image) if image is not None else value
    world: Affine = affine.detach().cpu().double().numpy()
    if image is not None:
        return image.with_data(value.as_tensor(), world)
    kind = value.meta.get(TYPE, INTENSITY)
    made = {INTENSITY: ScalarImage, LABEL: LabelMap}.get(kind, Image)
    return made(tensor=value.as_tensor(), affine=world, type=kind)


def _with_voxels(name: str, value: Any, image: Image) -> Any:
    if not hasattr(value, "shape"):
        return value
    if len(value.shape) != 4:
        raise TransformError(
            f"image {name!r} came back with {len(value.shape)} dimensions, shape "
            f"{tuple(value.shape)}, instead of the 4 of {image.shape}, (C, W, H, D); leave out "
            f"what adds or removes one: EnsureChannelFirstd(channel_dim='no_channel'), SqueezeDimd"
        )
    if tuple(value.shape[1:]) != image.spatial_shape:
        raise TransformError(
            f"image {name!r} came back without an affine and with shape {tuple(value.shape)} "
            f"instead of {image.shape}: where it lies is not known; keep MetaTensors "
            f"(monai.data.set_track_meta(True), EnsureTyped(track_meta=True))"
        )
    return image.with_data(value.as_tensor() if hasattr(value, "as_tensor") else value)


def _check_has_image(made: Mapping[str, Any]) -> None:
    plain = [name for name, value in made.items() if getattr(value, "ndim", 0) == 4]
    if plain and not any(isinstance(value, Image) for value in made.values()):
        raise TransformError(
            f"{plain} are no MetaTensors, so that it is not known where they lie; keep MetaTensors "
            "(monai.data.set_track_meta(True)), or make Subject(...) of ScalarImage(tensor=...)"
        )


def _explain_reading(transform: Any, given: Any, error: Exception) -> None:
    """Raise an error that helps where a transform failed because it reads what is read."""
    transforms = import_extra("monai.transforms", "monai")
    parts = [transform]
    if isinstance(transform, transforms.Compose):
        parts = transform.flatten().transforms
    for part in parts:
        if _reads(part, given):
            raise TransformError(
                f"{_name(part)} reads {list(getattr(part, 'keys', ['an image']))}, read already; "
                f"leave {_name(part)} out: ScalarImage(path) and LabelMap(path) take its place"
            ) from error


def _reads(part: Any, given: Any) -> bool:
    """Whether a transform reads what is read already."""
    transforms = import_extra("monai.transforms", "monai")
    if isinstance(part, transforms.LoadImaged):
        return any(hasattr(given.get(key), "affine") for key in part.keys)
    return isinstance(part, transforms.LoadImage)


def _name_reason(error: Exception) -> None:
    """Let the error of a Compose say which part failed, and why; it leaves that to its causes."""
    part: BaseException = error
    reason = part.__cause__ if _names_part(part) else None
    while reason is not None and _names_part(reason):
        part, reason = reason, reason.__cause__
    if reason is not None:
        error.args = (f"{part}: {type(reason).__name__}: {reason}",)


def _names_part(error: BaseException) -> bool:
    return isinstance(error, RuntimeError) and str(error).startswith("applying transform")


def _applied(items: dict[str, Any]) -> dict[str, Any]:
    """Carry out what lazy transforms have put off."""
    if not any(getattr(value, "has_pending_operations", False) for value in items.values()):
        return items
    lazy = import_extra("monai.transforms.lazy.functional", "monai")
    finished: dict[str, Any] = lazy.apply_pending_transforms(items, tuple(items))
    return finished


def _takes_array(transform: Any) -> bool:
    transforms = import_extra("monai.transforms", "monai")
    if isinstance(transform, transforms.Compose):
        parts = transform.flatten().transforms
        return bool(parts) and all(_takes_array(part) for part in parts)
    is_ours = isinstance(transform, transforms.Transform)
    return is_ours and not isinstance(transform, transforms.MapTransform)


def _name(transform: Any) -> str:
    return getattr(transform, "__name__", type(transform).__name__)
