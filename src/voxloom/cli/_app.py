"""All commands, and what they share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from voxloom import __version__
from voxloom.cli._bench import EXAMPLES as BENCH
from voxloom.cli._bench import bench
from voxloom.cli._check import EXAMPLES as CHECK
from voxloom.cli._check import check
from voxloom.cli._demo import EXAMPLES as DEMO
from voxloom.cli._demo import demo
from voxloom.cli._infer import EXAMPLES as INFER
from voxloom.cli._infer import infer
from voxloom.cli._info import EXAMPLES as INFO
from voxloom.cli._info import info
from voxloom.cli._prepare import EXAMPLES as PREPARE
from voxloom.cli._prepare import prepare
from voxloom.cli._preview import EXAMPLES as PREVIEW
from voxloom.cli._preview import preview
from voxloom.cli._queue_page import EXAMPLES as QUEUE_PAGE
from voxloom.cli._queue_page import queue_page
from voxloom.cli._typer import Exit, Option, new_app, unwrapped
from voxloom.cli._view import EXAMPLES as VIEW
from voxloom.cli._view import view

_HELP = "Look at volumes, measure how fast patches come, prepare data, run a network."
_START = """[bold]To see it work:[/bold]

  voxloom demo            trains a small network, and draws how

[bold]From a folder to a training:[/bold]

  voxloom check DATA      what is wrong with it

  voxloom preview DATA    what it looks like, and where patches are cut

  voxloom bench DATA      which settings are fast here

  voxloom view DATA       the volumes in the browser, with patches as boxes

[bold]Exit codes:[/bold]

  0 done    1 check found what would stop a training    2 wrong arguments

  3 files, data, disk or memory did not allow it    4 a library is missing

  5 unexpected, see --debug    130 stopped    141 the reader of the output went away
"""

app = new_app(_HELP)


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"voxloom {__version__}")
        raise Exit


@app.callback(epilog=_START)
def voxloom(
    version: Annotated[
        bool, Option("--version", callback=_show_version, is_eager=True, help="Say the version.")
    ] = False,
    debug: Annotated[bool, Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Look at volumes, measure how fast patches come, prepare data, run a network."""


_COMMANDS: dict[str, tuple[Callable[..., int], str]] = {
    "demo": (demo, DEMO),
    "check": (check, CHECK),
    "preview": (preview, PREVIEW),
    "bench": (bench, BENCH),
    "prepare": (prepare, PREPARE),
    "infer": (infer, INFER),
    "view": (view, VIEW),
    "queue-page": (queue_page, QUEUE_PAGE),
    "info": (info, INFO),
}
for _name, (_command, _examples) in _COMMANDS.items():
    app.command(_name, help=unwrapped(_command.__doc__), epilog=_examples)(_command)
