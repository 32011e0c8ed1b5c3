"""``voxloom queue-page``: how the queue works, as a page to play with."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from voxloom._errors import CommandError
from voxloom.cli._main import ExitCode
from voxloom.cli._terminal import say, say_json, serve
from voxloom.cli._typer import AsJson, Option, Port

EXAMPLES = """[bold]Examples:[/bold]

  voxloom queue-page

  voxloom queue-page --output queue.html
"""


def queue_page(
    output: Annotated[
        Path | None, Option("--output", "-o", help="Write one file that works from disk.")
    ] = None,
    port: Port = 0,
    as_json: AsJson = False,
) -> int:
    """Serve the page on this machine until Ctrl-C, or write it to a file."""
    from voxloom.view import serve_queue_page, write_queue_page

    if output is not None:
        if port:
            raise CommandError("--port is for serving; leave it out with --output")
        file = str(write_queue_page(output))
        say_json({"file": file}) if as_json else say(file)
        return ExitCode.OK
    with serve_queue_page(port) as server:
        serve(server, {}, as_json=as_json)
    return ExitCode.OK
