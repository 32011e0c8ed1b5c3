"""``voxloom demo``: a small network learns from a queue, and pictures show how."""

from __future__ import annotations

import time
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Final

from voxloom._errors import CommandError, MissingExtraError
from voxloom.cli._main import ExitCode
from voxloom.cli._sources import make_folder
from voxloom.cli._terminal import note, say, say_json, working
from voxloom.cli._typer import AsJson, Option

EXAMPLES = """[bold]Examples:[/bold]

  voxloom demo

  voxloom demo --steps 200 --workers 4 --output pictures/

  voxloom demo --steps 5 --patch-size 32 --json
"""

_LIBRARIES: Final = ("nilearn", "monai", "matplotlib")


def demo(
    steps: Annotated[int, Option(min=1, help="Training steps.")] = 50,
    workers: Annotated[int, Option(min=0, max=64, help="Processes that load.")] = 2,
    patch_size: Annotated[int, Option(min=16, max=128, help="A multiple of 8.")] = 64,
    output: Annotated[Path, Option("--output", "-o", help="Folder for the pictures.")] = (
        Path("demo-output")
    ),
    as_json: AsJson = False,
) -> int:
    """Train a small 3D U-Net to find grey and white matter, and draw how the queue fed it.

    Ten times the MNI152 template stands for ten patients: enough to see everything at work in a
    minute or two on two cores, and by no means a network for real images.
    """
    if patch_size % 8:
        raise CommandError(f"--patch-size is a multiple of 8 from 16 to 128, got {patch_size}")
    missing = [name for name in _LIBRARIES if find_spec(name) is None]
    if missing:
        raise MissingExtraError(
            f"{' and '.join(missing)} needed for the demo and not installed; "
            "run: pip install 'voxloom[demo]'"
        )
    make_folder(output)
    result = _run(steps, workers, patch_size, output, tells=not as_json)
    if as_json:
        say_json(result)
    else:
        _show(result)
    return ExitCode.OK


def _run(steps: int, workers: int, patch_size: int, output: Path, *, tells: bool) -> dict[str, Any]:
    """Train, predict and draw; return what was seen, ready for JSON."""
    start = time.perf_counter()
    with working("importing torch and MONAI"):
        from voxloom.cli import _demo_pictures as pictures
        from voxloom.cli import _demo_training as training

        subject = training.make_subject()
        model = training.make_model()
    with training.make_queue(subject, patch_size, workers) as queue:
        if tells:
            note(f"{queue}\n{queue.memory()}")
        seen = training.train(queue, model, steps)
        mosaic = next(queue.batches(12))
    with working("predicting a slab, and drawing"):
        slab = training.predict(model, subject, patch_size)
        files = pictures.save(pictures.draw(subject, slab, mosaic, seen), output)
    return {
        **seen.as_dict(),
        "seconds": time.perf_counter() - start,
        "files": [str(file) for file in files],
    }


def _show(result: dict[str, Any]) -> None:
    losses = result["losses"]
    few = min(5, len(losses))
    first, last = sum(losses[:few]) / few, sum(losses[-few:]) / few
    say(f"loss: {first:.3f} (first {few} steps) -> {last:.3f} (last {few} steps)")
    say(
        f"patches: {result['patches']} in {result['training_s']:.1f} s, "
        f"{result['patches_per_s']:.1f} a second"
    )
    say(f"waiting for patches: {result['waiting_share']:.1%} of the time")
    say("\nPictures:")
    for file in result["files"]:
        say(f"  {file}")
    say(f"\nAll in {result['seconds']:.0f} s.")
