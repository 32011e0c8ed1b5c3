"""``voxloom infer``: a network over a whole volume."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Annotated, Any, Final

from voxloom._errors import CommandError, InferenceError
from voxloom.cli._main import ExitCode
from voxloom.cli._sampling import parse_patch_size
from voxloom.cli._sources import load_callable
from voxloom.cli._terminal import say, say_json
from voxloom.cli._typer import Argument, AsJson, Option
from voxloom.subjects import ScalarImage, Subject

EXAMPLES = """[bold]Examples:[/bold]

  voxloom infer t1.nii.gz scores.nii --model training:network

  voxloom infer t1.nii,t2.nii labels.nii --model net:load --argmax
"""

_MODES: Final = ("gaussian", "average", "hann")


def infer(
    volume: Annotated[
        str, Argument(metavar="INPUT", help="A volume; several, with commas between, are channels.")
    ],
    output: Annotated[Path, Argument(metavar="OUTPUT", help="A .nii, .nii.gz or .zarr to write.")],
    model: Annotated[
        str,
        Option(metavar="MODULE:NAME", help="A network, or a function that makes one."),
    ],
    patch_size: Annotated[str, Option("--patch-size", metavar="N[,N,N]")] = "96",
    overlap: Annotated[
        float, Option(min=0, max=0.99, help="What neighbours share, of a patch.")
    ] = 0.5,
    mode: Annotated[str, Option(metavar="gaussian|average|hann")] = "gaussian",
    batch_size: Annotated[int, Option(min=1)] = 1,
    device: Annotated[str | None, Option(help="Such as cuda; the network is moved there.")] = None,
    argmax: Annotated[
        bool, Option("--argmax", help="Write the channel with most, as uint8 or int16.")
    ] = False,
    as_json: AsJson = False,
) -> int:
    """Run a network over a volume of any size, patch by patch, and write what it returns."""
    if mode not in _MODES:
        raise CommandError(f"--mode is {', '.join(_MODES)}; got {mode!r}")
    size = parse_patch_size(patch_size)
    files = [Path(part) for part in volume.split(",")]
    if output.resolve() in [file.resolve() for file in files]:
        raise CommandError(f"OUTPUT {str(output)!r} is an INPUT, and would be overwritten")
    from voxloom.inference import infer as run_network
    from voxloom.inference._sinks import check_outs

    try:
        check_outs([output])
    except InferenceError as error:
        raise CommandError(f"OUTPUT: {error}") from error
    images: dict[str, Any] = {f"channel_{n}": ScalarImage(file) for n, file in enumerate(files)}
    network = make_network(model, device)
    result = run_network(
        network,
        Subject(**images),
        size,
        overlap,
        mode=mode,  # type: ignore[arg-type]
        batch_size=batch_size,
        device=device,
        out=output,
        voxelwise=_argmax if argmax else None,
    )
    if not hasattr(result, "spatial_shape"):
        raise CommandError(f"--model returns one tensor here, it returned {type(result).__name__}")
    if as_json:
        say_json({"output": str(output), "shape": result.shape, "dtype": str(result.dtype)})
    else:
        say(f"{output}: {result.shape}, {result.dtype}")
    return ExitCode.OK


def make_network(text: str, device: str | None) -> Any:
    """Return the network that ``MODULE:NAME`` names, or that a function of that name makes.

    A class, and anything else that can be called without arguments, is called.

    Raises
    ------
    CommandError
        If there is none.
    """
    found = load_callable(text, "--model")
    assert found is not None
    import torch

    network: Any = found
    if not isinstance(found, torch.nn.Module) and not _needs_arguments(found):
        network = found()
    if not callable(network):
        raise CommandError(f"--model makes something to call, {text!r} made {network!r}")
    if device is not None:
        _check_device(device)
        return network.to(device) if isinstance(network, torch.nn.Module) else network
    return network


def _check_device(device: str) -> None:
    import torch

    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:  # torch without CUDA asserts
        first = str(error).splitlines()[0]
        raise CommandError(f"--device {device!r} cannot be used here: {first}") from error


def _needs_arguments(function: Any) -> bool:
    parameters = inspect.signature(function).parameters.values()
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return any(p.kind in positional and p.default is p.empty for p in parameters)


def _argmax(scores: Any) -> Any:
    labels = scores.argmax(0, keepdim=True)
    return labels.byte() if len(scores) <= 256 else labels.short()
