"""``voxloom queue-page``: how the queue works, as a page to play with."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from voxloom._errors import CommandError
from voxloom.cli._main import ExitCode
from voxloom.cli._terminal import note, say
from voxloom.cli._typer import Option

EXAMPLES = """[bold]Examples:[/bold]

  voxloom queue-page

  voxloom queue-page --output queue.html
"""


def queue_page(
    output: Annotated[
        Path | None, Option("--output", "-o", help="Write one file that works from disk.")
    ] = None,
    port: Annotated[int, Option(min=0, max=65535, help="Where to listen; 0 takes any.")] = 0,
) -> int:
    """Serve the page on this machine until Ctrl-C, or write it to a file."""
    from voxloom.view import serve_queue_page, write_queue_page

    if output is not None:
        if port:
            raise CommandError("--port is for serving; leave it out with --output")
        say(write_queue_page(output))
        return ExitCode.OK
    with serve_queue_page(port) as server:
        say(server.address)
        note("open it in a browser; Ctrl-C ends it")
        server.wait()
    return ExitCode.OK
