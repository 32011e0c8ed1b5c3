"""``voxloom info``: versions, the machine, and what is installed, for a report of a defect."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

from voxloom import __version__
from voxloom._cores import count_cores
from voxloom.cli._main import ExitCode
from voxloom.cli._terminal import say_json, say_table, working
from voxloom.cli._typer import AsJson

EXAMPLES = """[bold]Examples:[/bold]

  voxloom info

  voxloom info --json
"""

_NEEDED: Final = ("numpy", "torch", "nibabel", "isal")
_EXTRAS: Final = {
    "cli": ("typer", "rich", "tqdm"),
    "demo": ("nilearn", "monai", "pooch"),
    "itk": ("SimpleITK", "tifffile"),
    "lightning": ("lightning",),
    "monai": ("monai",),
    "plot": ("matplotlib",),
    "torchio": ("torchio",),
    "zarr": ("zarr", "tensorstore", "h5py", "blosc2"),
}


def info(as_json: AsJson = False) -> int:
    """Say which versions are installed and what the machine has."""
    with working("asking the machine"):
        found = gather()
    if as_json:
        say_json(found)
        return ExitCode.OK
    machine = found["machine"]
    say_table(
        "This machine",
        ("what", "value"),
        [(k.replace("_", " ").removesuffix(" bytes"), _shown(v)) for k, v in machine.items()],
    )
    rows = [("needed", name, number) for name, number in found["needed"].items()]
    rows += [
        (extra, name, number)
        for extra, libraries in found["extras"].items()
        for name, number in libraries.items()
    ]
    shown = [(extra, name, number or "not installed") for extra, name, number in rows]
    say_table("Libraries", ("extra", "library", "version"), shown)
    return ExitCode.OK


def gather() -> dict[str, Any]:
    """Return what `info` prints, ready for JSON."""
    return {
        "machine": {
            "voxloom": __version__,
            "python": platform.python_version(),
            "system": f"{platform.system()} {platform.release()} {platform.machine()}",
            "cores": count_cores(),
            "memory_available_bytes": _memory_available(),
            "gpus": _gpus(),
        },
        "needed": {name: _version(name) for name in _NEEDED},
        "extras": {
            extra: {name: _version(name) for name in names} for extra, names in _EXTRAS.items()
        },
    }


def _memory_available() -> int | None:
    from voxloom.loading._memory import available_bytes

    return available_bytes()


def _gpus() -> list[str]:
    import torch

    return [torch.cuda.get_device_name(n) for n in range(torch.cuda.device_count())]


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(value) or "none"
    if isinstance(value, int) and value > 1 << 20:
        return f"{value / 2**30:.1f} GiB"
    return "unknown" if value is None else str(value)
