"""The state of a random generator that a subject sampler has, as text that fits into JSON."""

from __future__ import annotations

import base64
import binascii
import zlib
from typing import TYPE_CHECKING, Any

from voxloom._errors import StateError

if TYPE_CHECKING:
    import torch


def generator_of(sampler: Any) -> torch.Generator | None:
    """Return the generator that a sampler of torch was given as ``generator``, if any.

    That of the whole process is nobody's own, and not counted.
    """
    generator = getattr(sampler, "generator", None)
    if generator is None:
        return None
    import torch  # workers come here too, and need it for nothing else

    if not isinstance(generator, torch.Generator) or generator is torch.default_generator:
        return None
    return generator


def write_generator(generator: torch.Generator) -> str:
    """Return the state of a generator: some four thousand characters.

    Examples
    --------
    >>> import torch
    >>> generator = torch.Generator().manual_seed(5)
    >>> text = write_generator(generator)
    >>> first = torch.rand(1, generator=generator)
    >>> read_generator(generator, text)
    >>> bool(first == torch.rand(1, generator=generator))
    True
    """
    return base64.b64encode(zlib.compress(generator.get_state().numpy().tobytes())).decode("ascii")


def read_generator(generator: torch.Generator, text: Any) -> None:
    """Let a generator go on from what `write_generator` returned.

    Raises
    ------
    StateError
        If it is something else.
    """
    import torch

    try:
        state = bytearray(zlib.decompress(base64.b64decode(text, validate=True)))
        generator.set_state(torch.frombuffer(state, dtype=torch.uint8))
    except (TypeError, ValueError, RuntimeError, binascii.Error, zlib.error) as error:
        raise StateError(
            f"'generator' of the state is that of the subject_sampler, as state_dict() wrote it; "
            f"got {text!r:.80} ({error})"
        ) from error
