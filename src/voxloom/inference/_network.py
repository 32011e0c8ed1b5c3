"""Calling a network: in evaluation mode, with flips, and with several outputs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain, combinations
from typing import TYPE_CHECKING, Any

from voxloom._errors import InferenceError

if TYPE_CHECKING:
    import torch

Model = Callable[..., Any]


@contextmanager
def evaluating(model: Model) -> Iterator[None]:
    """Put a module into evaluation mode without gradients, and put it back afterwards."""
    import torch

    modules = list(model.modules()) if isinstance(model, torch.nn.Module) else []
    training = [module for module in modules if module.training]
    for module in training:
        module.training = False
    try:
        with torch.no_grad():
            yield
    finally:
        for module in training:
            module.training = True


def device_of(model: Model) -> torch.device:
    """Return where the parameters of a module lie; the CPU for anything else."""
    import torch

    tensors: Any = ()
    if isinstance(model, torch.nn.Module):
        tensors = chain(model.parameters(), model.buffers())
    first = next(iter(tensors), None)
    return torch.device("cpu") if first is None else first.device


def flip_sets(axes: Any) -> list[tuple[int, ...]]:
    """Return all combinations of the axes to flip, the empty one first.

    Raises
    ------
    InferenceError
        If they are not some of 0, 1, 2, or True for all.

    Examples
    --------
    >>> flip_sets((0, 2))
    [(), (0,), (2,), (0, 2)]
    """
    given = {True: (0, 1, 2), False: ()}.get(axes, axes) if isinstance(axes, bool) else axes
    chosen = (given,) if isinstance(given, int) else tuple(given)
    if any(type(n) is not int or not 0 <= n <= 2 for n in chosen) or len({*chosen}) < len(chosen):
        raise InferenceError(
            f"flips are axes among 0, 1, 2, each once, or True for all of them, got {axes!r}"
        )
    sizes = range(len(chosen) + 1)
    return list(chain.from_iterable(combinations(chosen, size) for size in sizes))


def predict(
    model: Model, batch: torch.Tensor, flips: Sequence[tuple[int, ...]]
) -> tuple[Any, list[torch.Tensor]]:
    """Return the names of the outputs and the outputs, averaged over flips of the input.

    Names are None for one tensor, a number for a tuple or list, or the keys of a mapping.
    """
    if len(flips) == 1:
        return unpack(model(batch))
    # A network may change what it is given, and give the same memory back each time.
    names, outputs = unpack(model(batch.clone()))
    sums = [output.clone().float() for output in outputs]
    for axes in flips[1:]:
        turned = [2 + axis for axis in axes]
        _, outputs = unpack(model(batch.flip(turned)))
        sums = [total + one.float().flip(turned) for total, one in zip(sums, outputs, strict=True)]
    return names, [total / len(flips) for total in sums]


def unpack(outputs: Any) -> tuple[Any, list[torch.Tensor]]:
    """Return the names and the tensors of what a network returned.

    Raises
    ------
    InferenceError
        If it returned something else than tensors ``(B, C, w, h, d)``.
    """
    import torch

    names: Any = None
    tensors: list[Any] = [outputs]
    if isinstance(outputs, dict):
        names, tensors = tuple(outputs), list(outputs.values())
    elif isinstance(outputs, tuple | list):
        names, tensors = len(outputs), list(outputs)
    for tensor in tensors:
        if not isinstance(tensor, torch.Tensor) or tensor.ndim != 5:
            shape = tuple(tensor.shape) if isinstance(tensor, torch.Tensor) else None
            raise InferenceError(
                "the network should return a tensor (B, C, w, h, d), or a tuple or mapping of "
                f"them, got {type(tensor).__name__}{f' of shape {shape}' if shape else ''}"
            )
    return names, tensors


def pack(names: Any, values: Sequence[Any]) -> Any:
    """Return values in the form that the network's outputs had.

    Examples
    --------
    >>> pack(None, [1]), pack(2, [1, 2]), pack(("a",), [1])
    (1, (1, 2), {'a': 1})
    """
    if names is None:
        return values[0]
    if isinstance(names, int):
        return tuple(values)
    return dict(zip(names, values, strict=True))
