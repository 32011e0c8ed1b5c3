"""The aggregator: joins the patches of a grid, as a network returns them, to one volume."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, final

import numpy as np

from voxloom._errors import AggregatorError
from voxloom.geometry import Index3, Shape3
from voxloom.patches._coverage import Coverage
from voxloom.patches._grid_sampler import GridSampler
from voxloom.patches._output import Output, Slices3, clear, open_output
from voxloom.patches._size import is_whole
from voxloom.patches._window import OverlapMode

if TYPE_CHECKING:
    import torch


@final
class GridAggregator:
    """Joins patches of a grid to a volume ``(C, W, H, D)``, each place exactly where it lies.

    Where patches overlap, ``'crop'`` takes each voxel from one patch, half the overlap away
    from the patch's border; the others take a weighted mean: ``'average'`` with equal weights,
    ``'hann'`` and ``'gaussian'`` with weights that fall towards the border of the patch. The
    order in which patches come does not matter, beyond the rounding of sums.

    ``'crop'`` keeps the dtype of the batches. The others sum in float64 if the batches are
    float64, in complex numbers if they are complex, and in float32 for any other dtype, and return
    that: integers beyond 2**24 are rounded. The normalisation is exact however often a place was
    added, and takes no second volume: windows are separable, so that the sum of all weights is a
    product of small matrices.

    Parameters
    ----------
    sampler : GridSampler
        The sampler, with a subject, that the patches come from.
    overlap_mode : {'crop', 'average', 'hann', 'gaussian'}
        How overlapping patches are joined.
    downsampling_factor : int
        How many voxels of the volume one voxel of the network's output stands for. It
        divides the patch size.
    out : writable array (C, W, H, D), optional
        Where to build the volume instead of new memory: a NumPy array or memmap, a CPU
        tensor, or anything with ``shape``, ``dtype`` and slicing, such as a Zarr array, of
        which only one patch or chunk is then in memory at once. What it held is lost.
        float32 or float64 unless the mode is ``'crop'``.
    fill : number, optional
        What voxels get that no patch covered. By default they are an error.

    Raises
    ------
    AggregatorError
        A ValueError and RuntimeError, if an argument cannot be used.

    Examples
    --------
    >>> import torch
    >>> from voxloom.subjects import ScalarImage, Subject
    >>> volume = torch.arange(1000.0).reshape(1, 10, 10, 10)
    >>> sampler = GridSampler(Subject(t1=ScalarImage(tensor=volume)), 6, patch_overlap=2)
    >>> aggregator = GridAggregator(sampler, overlap_mode="hann")
    >>> for batch in torch.utils.data.DataLoader(sampler, batch_size=4):
    ...     aggregator.add_batch(batch["t1"]["data"], batch["location"])
    >>> torch.allclose(aggregator.get_output_tensor(), volume)
    True
    """

    __slots__ = (
        "_array", "_batch_dtype", "_coverage", "_finished", "_grid", "_output", "_window",
        "downsampling_factor", "fill", "overlap_mode",
    )  # fmt: skip

    def __init__(
        self,
        sampler: GridSampler,
        overlap_mode: OverlapMode = "crop",
        downsampling_factor: int = 1,
        out: Any = None,
        *,
        fill: float | None = None,
    ) -> None:
        if not isinstance(sampler, GridSampler):
            raise AggregatorError(
                f"an aggregator joins the patches of a GridSampler, got {type(sampler).__name__}"
            )
        grid = sampler.grid
        _check_factor(downsampling_factor, grid.patch_size)
        self._grid = grid
        self._coverage = Coverage(grid, overlap_mode, downsampling_factor)
        self._array = out
        self._output: Output | None = None
        self._batch_dtype: torch.dtype | None = None
        self._window: torch.Tensor | None = None
        self._finished = False
        self.overlap_mode = overlap_mode
        self.downsampling_factor = downsampling_factor
        self.fill = fill
        if out is not None:
            _check_out(out, self._coverage.spatial_shape, overlap_mode)

    def add_batch(self, batch_tensor: Any, locations: Any) -> None:
        """Put the patches of one batch where they belong.

        Parameters
        ----------
        batch_tensor : (B, C, w, h, d) tensor or array
            What the network returned, of any dtype and on any device.
        locations : (B, 6) int tensor
            ``batch['location']``: where the patches lie.

        Raises
        ------
        AggregatorError
            A RuntimeError, if shape, dtype or locations are not those of the grid. Nothing
            of the batch has been added then.
        """
        if self._finished:
            raise AggregatorError(
                "the volume has been divided by its weights and takes no more patches; "
                "add all batches before get_output_tensor, or make a new GridAggregator"
            )
        places = self._places_of(locations)
        batch = _as_tensor(batch_tensor)
        self._check_batch(batch, len(places))
        output = self._output or self._start(batch)
        _check_range(batch, output)
        for patch, place in zip(batch, places, strict=True):
            self._add_patch(output, patch, place)
            self._coverage.add(place)

    def get_output_tensor(self) -> torch.Tensor:
        """Return the volume, a CPU tensor ``(C, W, H, D)``, without the sampler's padding.

        It shares its memory with the aggregator, or with `out` if that is an array or a
        tensor; other stores are read whole, which `finish` avoids.

        Raises
        ------
        AggregatorError
            A RuntimeError, if no batch was added, or voxels were never covered and there is
            no `fill`.
        """
        return self.finish().whole()

    def finish(self) -> Output:
        """Divide by the weights, so that `out` holds the volume; done once.

        Raises
        ------
        AggregatorError
            As `get_output_tensor`.
        """
        if self._output is None:
            raise AggregatorError("no batch was added, so there is no volume; call add_batch first")
        self._check_coverage()
        as_written = self.overlap_mode == "crop" and self._coverage.is_complete
        for where in () if as_written or self._finished else self._output.blocks():
            self._finish_block(self._output, where)
        self._finished = self.overlap_mode != "crop"
        return self._output

    def _places_of(self, locations: Any) -> list[Index3]:
        rows = np.asarray(locations.cpu() if hasattr(locations, "cpu") else locations)
        if rows.ndim != 2 or rows.shape[1] != 6:
            raise AggregatorError(
                f"locations have shape (B, 6), one row a patch, got {rows.shape}; "
                "give batch['location']"
            )
        places = [(row, self._grid.find(row)) for row in rows.tolist()]
        for row, place in places:
            if place is None:
                raise AggregatorError(self._explain_location(row))
        return [place for _, place in places if place is not None]

    def _explain_location(self, row: list[int]) -> str:
        grid = self._grid
        inside = all(
            0 <= ini < fin <= n
            for ini, fin, n in zip(row[:3], row[3:], grid.padded_shape, strict=True)
        )
        problem = "is no place of the grid" if inside else "does not lie inside the volume"
        return (
            f"location {tuple(row)} {problem}, whose spatial shape is {grid.padded_shape} "
            f"(padding included), with patch_size={grid.patch_size} and "
            f"patch_overlap={grid.patch_overlap}; give locations of patches of the same sampler"
        )

    def _check_batch(self, batch: torch.Tensor, count: int) -> None:
        channels = batch.shape[1] if batch.ndim == 5 else None
        if self._output is not None:
            channels = self._output.channels
        expected = (count, "C" if channels is None else channels, *self._coverage.patch_shape)
        if tuple(batch.shape) != (count, channels, *self._coverage.patch_shape):
            raise AggregatorError(
                f"{count} locations of this grid take a batch of shape "
                f"({', '.join(map(str, expected))}), got {tuple(batch.shape)}"
            )
        if self._batch_dtype not in (None, batch.dtype):
            raise AggregatorError(
                f"the first batch had dtype {self._batch_dtype}, this one has {batch.dtype}; "
                "convert them to one dtype"
            )

    def _start(self, batch: torch.Tensor) -> Output:
        import torch

        if self._array is None:
            dtype = batch.dtype if self.overlap_mode == "crop" else _sums_of(batch.dtype)
            shape = (batch.shape[1], *self._coverage.spatial_shape)
            output = open_output(torch.zeros(shape, dtype=dtype))
        else:
            output = open_output(self._array)
            _check_storable(batch, output)
            clear(output)
        self._window = torch.from_numpy(self._coverage.window()).to(output.dtype)
        self._batch_dtype, self._output = batch.dtype, output
        return output

    def _add_patch(self, output: Output, patch: torch.Tensor, place: Index3) -> None:
        where = self._coverage.target(place)
        if any(one.start >= one.stop for one in where):
            return
        part = self._coverage.origin(place)
        voxels = patch[(slice(None), *part)]
        if self.overlap_mode == "crop":
            output.write(where, voxels)
            return
        assert self._window is not None
        with output.edit(where) as sums:
            sums.addcmul_(voxels.to(sums.dtype), self._window[part])

    def _check_coverage(self) -> None:
        missing = np.flatnonzero(self._coverage.counts == 0)
        if not missing.size or self.fill is not None:
            return
        assert self._output is not None
        blocks = self._output.blocks()
        uncovered = sum(int((self._coverage.weights_in(where) == 0).sum()) for where in blocks)
        if uncovered:
            raise AggregatorError(
                f"{missing.size} of {self._coverage.counts.size} places of the grid were never "
                f"added, the first of them {self._grid.location(int(missing[0]))}, so that "
                f"{uncovered} of {math.prod(self._coverage.spatial_shape)} voxels are not covered; "
                "add their patches, or say what such voxels get: GridAggregator(..., fill=0)"
            )

    def _finish_block(self, output: Output, where: Slices3) -> None:
        import torch

        weights = torch.from_numpy(self._coverage.weights_in(where))
        empty = weights == 0
        with output.edit(where) as voxels:
            if self.overlap_mode != "crop":
                voxels /= weights.to(voxels.dtype)
            if self.fill is not None:
                voxels.masked_fill_(empty, self.fill)


def _sums_of(dtype: torch.dtype) -> torch.dtype:
    """Return the dtype in which voxels of a dtype add up."""
    import torch

    return dtype if dtype.is_complex or dtype == torch.float64 else torch.float32


def _as_tensor(batch: Any) -> torch.Tensor:
    import torch

    return torch.as_tensor(batch).detach().cpu()


def _check_factor(factor: int, patch_size: Shape3) -> None:
    if not is_whole(factor) or factor < 1 or any(size % factor for size in patch_size):
        raise AggregatorError(
            f"downsampling_factor is a positive integer that divides patch_size={patch_size}, "
            f"got {factor!r}"
        )


def _check_out(out: Any, spatial_shape: Shape3, mode: str) -> None:
    shape = tuple(out.shape)
    if len(shape) != 4 or shape[1:] != spatial_shape:
        expected = ", ".join(map(str, spatial_shape))
        raise AggregatorError(f"out has shape (C, {expected}), got {shape}")
    if isinstance(out, np.ndarray) and not out.flags.writeable:
        raise AggregatorError("out is written to, and this array is read-only; open it with 'r+'")
    if getattr(getattr(out, "device", None), "type", "cpu") != "cpu":
        raise AggregatorError(f"out is in the memory of the CPU, got a tensor on {out.device}")
    dtype = open_output(out).dtype
    if mode != "crop" and str(dtype) not in ("torch.float32", "torch.float64"):
        raise AggregatorError(
            f"overlap_mode={mode!r} sums in out, which is float32 or float64 then, got {dtype}"
        )


def _check_storable(batch: torch.Tensor, output: Output) -> None:
    import torch

    if batch.shape[1] != output.channels:
        raise AggregatorError(
            f"out has {output.channels} channels, the batch of shape {tuple(batch.shape)} "
            f"has {batch.shape[1]}"
        )
    if not torch.can_cast(batch.dtype, output.dtype):
        raise AggregatorError(
            f"out has dtype {output.dtype}, which cannot hold {batch.dtype}; "
            "convert the batch, or give another out"
        )


def _check_range(batch: torch.Tensor, output: Output) -> None:
    """Refuse integers that would become others in a narrower `out`."""
    import torch

    if batch.dtype == output.dtype or not batch.numel() or not _counts(output.dtype):
        return
    voxels = batch.numpy()  # torch finds no extremes of all integers
    least, most = int(voxels.min()), int(voxels.max())
    limits = torch.iinfo(output.dtype)
    if least < limits.min or most > limits.max:
        raise AggregatorError(
            f"out has dtype {output.dtype}, which holds {limits.min} to {limits.max}; the batch of "
            f"{batch.dtype} has {least} to {most}; give another out"
        )


def _counts(dtype: torch.dtype) -> bool:
    import torch

    return not (dtype.is_floating_point or dtype.is_complex or dtype == torch.bool)
