"""Running a network over a volume, patch by patch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from typing import TYPE_CHECKING, Any

import numpy as np

from voxloom._errors import InferenceError
from voxloom._progress import progress_bar
from voxloom.geometry import Affine, Index3, Shape3
from voxloom.inference._blender import Blender, output_factors, output_shape
from voxloom.inference._cutters import choose_cutter
from voxloom.inference._network import Model, device_of, evaluating, flip_sets, pack, predict
from voxloom.inference._read_ahead import read_ahead
from voxloom.inference._sinks import Sink, check_outs, open_sink, sweep_axis
from voxloom.inference._tiling import (
    BlendMode,
    blending_window,
    order_of,
    plan_tiles,
    warn_of_padding,
)
from voxloom.patches import Grid
from voxloom.patches._padding import PaddingMode, parse_padding_mode
from voxloom.patches._size import is_whole
from voxloom.subjects import Image, Subject

if TYPE_CHECKING:
    import torch

_DEVICE_SHARE = 0.25


def infer(
    model: Model,
    subject: Subject | Image,
    patch_size: Any,
    overlap: Any = 0.5,
    *,
    mode: BlendMode = "gaussian",
    batch_size: int = 1,
    device: Any = None,
    images: str | Sequence[str] | None = None,
    out: Any = None,
    padding_mode: PaddingMode = "constant",
    border: Any = 0,
    stride: int = 1,
    flips: Any = (),
    voxelwise: Callable[[torch.Tensor], torch.Tensor] | None = None,
    progress: bool = True,
) -> Any:
    """Run a network over all patches of a volume, and join what it returns.

    Patches lie as in MONAI's sliding window, and are joined by a weighted mean. The result
    is summed in float32 in a window of memory that moves along one axis: of the volume that
    is read and the one that is written, only about one patch times a slice is in memory
    where the files are read and written by region. A thread cuts the next batch while the
    network works.

    Parameters
    ----------
    model : callable
        Takes float32 patches ``(B, C, w, h, d)``; returns a tensor ``(B, C', w', h', d')``,
        or a tuple or mapping of them. A `torch.nn.Module` is in evaluation mode meanwhile,
        and is not moved to another device.
    subject : Subject or Image
        What to run it over.
    patch_size : int or three int
        Voxels of a patch.
    overlap : float, int, or three of them
        What neighbouring patches share: a fraction of the patch, or voxels.
    mode : {'gaussian', 'average', 'hann'}
        How much voxels count by their place in the patch.
    batch_size : int
        Patches that the model gets at a time.
    device : torch.device, optional
        Where patches go; by default where the model's parameters are.
    images : str or sequence of str, optional
        Images whose channels the model gets, in order; by default all of intensities.
    out : path, array, or a tuple or mapping of them, optional
        Where to write: ``.zarr`` and ``.nii`` at bounded memory, ``.nii.gz`` at the end, or
        an array ``(C, W, H, D)``. In memory if None.
    padding_mode : 'constant', 'edge', 'reflect' or number
        What lies outside of the volume, where patches reach beyond it. Where a patch holds more
        than eight times the voxels of the volume, a UserWarning says so.
    border : int or three int
        How far patches reach beyond the volume, so that voxels at its border are not at the
        border of a patch. A volume smaller than a patch is continued in any case.
    stride : int
        Patches begin at multiples of it. A network that returns one voxel for every four
        needs 4.
    flips : int, sequence of int, or bool
        Axes along which the input is flipped as well, and the output back: the mean over
        all combinations is taken. True for all axes.
    voxelwise : callable, optional
        Applied to finished parts ``(C, w, h, d)`` before they are written, such as
        ``lambda p: p.argmax(0, keepdim=True).to(torch.uint8)``. It must not look at
        neighbours.
    progress : bool
        Whether a terminal shows a bar, if tqdm is installed.

    Returns
    -------
    ScalarImage, or a tuple or mapping of them
        As the model's output. Its affine is right, also where it has larger voxels.

    Raises
    ------
    InferenceError
        A ValueError and RuntimeError, if an argument or the model's output cannot be used.

    Examples
    --------
    >>> import torch
    >>> from voxloom.subjects import ScalarImage
    >>> subject = Subject(t1=ScalarImage(tensor=torch.rand(1, 20, 18, 16)))
    >>> result = infer(lambda batch: 2 * batch, subject, patch_size=8, overlap=0.25)
    >>> torch.allclose(result.data, 2 * subject.t1.data)
    True
    """
    inputs = _inputs(subject, images)
    grid = plan_tiles(inputs[0].spatial_shape, patch_size, overlap, border, stride)
    warn_of_padding(grid)
    if not is_whole(batch_size) or batch_size < 1:
        raise InferenceError(f"batch_size is a positive integer, got {batch_size!r}")
    outs = _outs(out)
    where = _device(device, model)
    joiner = _Joiner(grid, mode, out, sweep_axis(outs), inputs[0].affine, where, voxelwise)
    padding = parse_padding_mode(padding_mode) or "constant"
    cutter = choose_cutter(inputs, grid, padding, where, joiner.axis)
    turns = flip_sets(flips)
    places = order_of(grid.counts, joiner.axis)
    batches = [places[at : at + batch_size] for at in range(0, len(places), batch_size)]
    ahead = read_ahead(cutter.cut, batches) if cutter.waits else (cutter.cut(b) for b in batches)
    try:
        with evaluating(model), progress_bar(len(places) if progress else None, "infer") as bar:
            for batch, batch_places in ahead:
                # the last outputs live until these are made: the network's memory, all free at
                # once, would go back to the system and be taken again page by page
                outputs = predict(model, batch.to(where, non_blocking=True), turns)
                joiner.add(*outputs, batch_places)
                if bar is not None:
                    bar.update(len(batch_places))
            return joiner.finish()
    except BaseException:
        joiner.abandon()
        raise
    finally:
        ahead.close()


class _Joiner:
    """Joins the outputs of a network, each in a blender of its own."""

    def __init__(
        self,
        grid: Grid,
        mode: str,
        out: Any,
        axis: int,
        affine: Affine,
        device: torch.device,
        voxelwise: Callable[[torch.Tensor], torch.Tensor] | None,
    ) -> None:
        import torch

        self.axis = axis
        self._grid, self._out, self._affine, self._device = grid, out, affine, device
        self._window = torch.from_numpy(blending_window(mode, grid.patch_size))
        self._voxelwise = voxelwise
        self._names: Any = None
        self._sinks: list[Sink] = []
        self._blenders: list[Blender] = []

    def add(self, names: Any, outputs: list[torch.Tensor], places: list[Index3]) -> None:
        if not self._blenders:
            self._start(names, outputs)
        if names != self._names:
            raise InferenceError(
                f"the network returned outputs {self._names} for the first patch, and {names} now"
            )
        for blender, output in zip(self._blenders, outputs, strict=True):
            if len(output) != len(places):
                raise InferenceError(
                    f"for a batch of {len(places)} patches the network returned {len(output)}"
                )
            for patch, place in zip(output, places, strict=True):
                blender.add(patch, place)

    def finish(self) -> Any:
        for blender in self._blenders:
            blender.finish()
        return pack(self._names, [sink.finish() for sink in self._sinks])

    def abandon(self) -> None:
        for sink in self._sinks:
            sink.abandon()

    def _start(self, names: Any, outputs: list[torch.Tensor]) -> None:
        self._names = names
        for out, output in zip(_matched(self._out, names, len(outputs)), outputs, strict=True):
            factors = output_factors(self._grid, output[0])
            shape = output_shape(self._grid.spatial_shape, factors)
            sink = open_sink(out, self.axis, shape, _coarser(self._affine, factors))
            self._sinks.append(_Voxelwise(sink, self._voxelwise) if self._voxelwise else sink)
            where = _summing_device(self._grid, output, self.axis, self._device)
            blender = Blender(self._grid, self._window, output[0], self._sinks[-1], where)
            self._blenders.append(blender)


class _Voxelwise:
    """Applies a function to each slab before it goes on."""

    def __init__(self, sink: Sink, function: Callable[[torch.Tensor], torch.Tensor]) -> None:
        self.axis, self.thickness = sink.axis, sink.thickness
        self.finish, self.abandon = sink.finish, sink.abandon
        self._sink, self._function = sink, function

    def memory(self, channels: int) -> None:
        """Return None: what is summed is not what is kept."""

    def write(self, first: int, slab: torch.Tensor) -> None:
        changed = self._function(slab)
        if changed.ndim != 4 or changed.shape[1:] != slab.shape[1:]:
            raise InferenceError(
                f"voxelwise should return (C, {', '.join(map(str, slab.shape[1:]))}) for "
                f"{tuple(slab.shape)}, got {tuple(changed.shape)}"
            )
        self._sink.write(first, changed)


def _inputs(subject: Subject | Image, names: str | Sequence[str] | None) -> list[Image]:
    if isinstance(subject, Image):
        return [copy(subject)]
    if not isinstance(subject, Subject):
        raise InferenceError(f"expected a subject or an image, got {type(subject).__name__}")
    chosen = (names,) if isinstance(names, str) else names
    found = subject.get_images() if chosen is None else [subject.get_image(name) for name in chosen]
    if not found:
        raise InferenceError(
            f"{subject.describe()} has no image of intensities; name the input with images="
        )
    subject.check_consistent_space()
    return [copy(image) for image in found]  # what is decoded here is not kept by the caller's


def _outs(out: Any) -> list[Any]:
    several = [out]
    if isinstance(out, Mapping):
        several = list(out.values())
    elif isinstance(out, tuple | list):
        several = list(out)
    check_outs(several)
    return several


def _matched(out: Any, names: Any, count: int) -> list[Any]:
    if out is None:
        return [None] * count
    if names is None and not isinstance(out, Mapping | tuple | list):
        return [out]
    if isinstance(names, tuple) and isinstance(out, Mapping) and set(out) == set(names):
        return [out[name] for name in names]
    if isinstance(names, int) and isinstance(out, tuple | list) and len(out) == count:
        return list(out)
    form = "one tensor" if names is None else f"outputs {names}"
    raise InferenceError(f"out has the form of what the network returns, {form}; got {out!r}")


def _device(device: Any, model: Model) -> torch.device:
    import torch

    return device_of(model) if device is None else torch.device(device)


def _summing_device(
    grid: Grid, output: torch.Tensor, axis: int, device: torch.device
) -> torch.device:
    import torch

    if device.type != "cuda":
        return torch.device("cpu")
    plane = np.prod([n for other, n in enumerate(grid.padded_shape) if other != axis])
    needed = 4 * output.shape[1] * int(plane) * (grid.patch_size[axis] + 64)
    free, _ = torch.cuda.mem_get_info(device)
    return device if needed < _DEVICE_SHARE * free else torch.device("cpu")


def _coarser(affine: Affine, factors: Shape3) -> Affine:
    """Return the affine of voxels that each cover several voxels along the axes."""
    scale = np.diag([*factors, 1.0])
    scale[:3, 3] = [(n - 1) / 2 for n in factors]
    return affine @ scale
