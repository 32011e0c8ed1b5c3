"""The page that shows how the queue works: one file, with everything in it."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from html import escape
from pathlib import Path
from typing import Any, Final, Literal

from voxloom.view._settings import SECONDS, WHOLE, Settings

PageMode = Literal["disk", "served", "live"]

_FOLDER: Final = Path(__file__).parent / "page"
_SCRIPTS: Final = (
    "random", "plan", "simulation", "stage", "charts", "moments", "controls", "player", "live",
    "main",
)  # fmt: skip
_TITLES: Final = {
    "disk": "How the queue works",
    "served": "How the queue works",
    "live": "The queue, live",
}


def write_queue_page(path: str | Path) -> Path:
    """Write the page that shows how the queue works, as one file that works from disk.

    Subjects are on the left, the queue in the middle, batches leave on the right; sliders and
    switches change the settings. The order of the patches is that of `voxloom.loading`, by a
    port of the plan that tests hold to it; times come from a discrete-event simulation. The
    file asks nothing of any server.

    Parameters
    ----------
    path : str or Path
        Where to write it; an existing file is replaced.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    OSError
        If it cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_queue_page(Path(folder) / "queue.html").name
    'queue.html'
    """
    file = Path(path)
    file.write_text(render_page("disk"), encoding="utf-8")
    return file


def render_page(mode: PageMode) -> str:
    """Return the page as HTML.

    Parameters
    ----------
    mode : {'disk', 'served', 'live'}
        Whether the page computes runs itself, asks its server for them, or shows what a running
        queue does.
    """
    style = _read("page.css")
    script = "\n".join(_read(f"{name}.js") for name in _SCRIPTS)
    script = f'"use strict";\n(() => {{\n{script}}})();\n'
    config = {
        "mode": mode,
        "settings": asdict(Settings()),
        "limits": {name: list(span) for name, span in {**WHOLE, **SECONDS}.items()},
    }
    return fill_template(
        _read("page.html"),
        {
            "title": escape(_TITLES[mode]),
            "policy": _policy(style, script),
            "config": json.dumps(config).replace("<", "\\u003c"),
            "style": style,
            "script": script,
        },
    )


def _read(name: str) -> str:
    return (_FOLDER / name).read_text(encoding="utf-8")


def fill_template(page: str, parts: Mapping[str, Any]) -> str:
    """Return a page with its ``{{name}}`` replaced."""
    for name, text in parts.items():
        page = page.replace("{{" + name + "}}", text)
    return page


def _policy(style: str, script: str) -> str:
    """Return a policy by which browsers run this script and style and load nothing else."""
    return (
        f"default-src 'none'; script-src {policy_hash(script)}; style-src {policy_hash(style)}; "
        f"img-src data:; connect-src 'self'; base-uri 'none'; form-action 'none'"
    )


def policy_hash(text: str) -> str:
    """Return what a policy calls a script or a style of exactly this text."""
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"
