"""A server for one page, for this machine and whoever knows its address.

It listens on 127.0.0.1 only. The address holds a random token, so other users of the machine
cannot read it; the Host header must name this machine, so web pages cannot reach it by a name of
their own (DNS rebinding). It only answers questions, and has no files to serve.
"""

from __future__ import annotations

import hmac
import json
import re
import secrets
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final, Self, final
from urllib.parse import parse_qsl, urlsplit

from voxloom._errors import QueueError, VoxloomError
from voxloom.view._page import render_page
from voxloom.view._settings import Settings
from voxloom.view._simulation import simulate

Answer = Callable[[Mapping[str, str]], Any]
"""Takes what stands behind the question mark, returns `Content` or something to send as JSON."""


@final
@dataclass(frozen=True, slots=True)
class Content:
    """What is sent as it is: its media type and its bytes."""

    kind: str
    data: bytes


_HOST: Final = re.compile(r"(?:127\.0\.0\.1|localhost|\[::1\])(?::\d{1,5})?", re.ASCII | re.I)
_LOOK_UP_S: Final = 0.1  # how often it looks whether it is to stop
_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class PageServer:
    """Serves a page and what it asks for, until it is closed or the process ends.

    Parameters
    ----------
    page : str
        The page, as HTML.
    answers : mapping
        What the page may ask, and what gives the answer. A `VoxloomError` is answered with 400.
    port : int
        Where to listen; 0 takes any that is free.

    Raises
    ------
    OSError
        If the port is taken.

    Examples
    --------
    >>> with PageServer("<p>hello</p>", {}) as server:
    ...     server.address.startswith("http://127.0.0.1:")
    True
    """

    def __init__(self, page: str, answers: Mapping[str, Answer], port: int = 0) -> None:
        self._token = secrets.token_urlsafe(24)
        own = {"token": self._token, "page": page, "answers": dict(answers)}
        handler = type("Handler", (_Handler,), own)
        try:
            self._server = ThreadingHTTPServer(("127.0.0.1", port), handler)
        except OSError as error:
            why = f"{error.strerror}; give another port, or 0 for any that is free"
            raise OSError(error.errno, why, f"127.0.0.1:{port}") from error
        self._server.daemon_threads = True
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(_LOOK_UP_S,), name="voxloom-page", daemon=True
        )
        self._thread.start()

    @property
    def address(self) -> str:
        """Where the page is, token included: whoever has it can read the page."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/{self._token}/"

    def wait(self) -> None:
        """Return when the server is closed; Ctrl-C closes it."""
        try:
            self._thread.join()
        except KeyboardInterrupt:
            self.close()

    def close(self) -> None:
        """Stop listening. It may be called again."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"PageServer({self.address})"


def serve_queue_page(port: int = 0) -> PageServer:
    """Serve the page that shows how the queue works; runs come from the planner itself.

    Parameters
    ----------
    port : int
        Where to listen on 127.0.0.1; 0 takes any that is free.

    Returns
    -------
    PageServer
        Open its `address`; `wait` or `close` it.

    Raises
    ------
    OSError
        If the port is taken.

    Examples
    --------
    >>> from urllib.request import urlopen
    >>> with serve_queue_page() as server:
    ...     urlopen(server.address).status
    200
    """
    return PageServer(render_page("served"), {"run": answer_run}, port)


def answer_run(question: Mapping[str, str]) -> dict[str, Any]:
    """Return the run with the settings that are asked for, ready for JSON.

    Raises
    ------
    QueueError
        If they are not settings.
    """
    try:
        values = json.loads(question.get("settings", "{}"))
        settings = Settings(**values)
    except (TypeError, ValueError) as error:
        raise QueueError(f"settings are the fields of Settings as JSON; {error}") from error
    return simulate(settings).as_dict()


class _Handler(BaseHTTPRequestHandler):
    token: str
    page: str
    answers: dict[str, Answer]
    server_version, sys_version = "voxloom", ""
    timeout = 30

    def do_GET(self) -> None:
        place = urlsplit(self.path)
        _, token, *rest = place.path.split("/", 2) if place.path.startswith("/") else ("", "")
        if not _HOST.fullmatch(self.headers.get("Host", "")):
            self._say(HTTPStatus.FORBIDDEN, "this page is for this machine only")
        elif not hmac.compare_digest(token.encode(), self.token.encode()):
            self._say(HTTPStatus.FORBIDDEN, "open the whole address, as it was printed")
        elif rest == [""]:
            self._send(HTTPStatus.OK, "text/html", self.page)
        elif rest and rest[0] in self.answers:
            self._answer(self.answers[rest[0]], dict(parse_qsl(place.query)))
        else:
            self._say(HTTPStatus.NOT_FOUND, "there is nothing here")

    def _answer(self, answer: Answer, question: dict[str, str]) -> None:
        try:
            found = answer(question)
        except (OSError, VoxloomError) as error:
            self._say(HTTPStatus.BAD_REQUEST, str(error))
            return
        if isinstance(found, Content):
            self._send_bytes(HTTPStatus.OK, found.kind, found.data)
        else:
            self._send(HTTPStatus.OK, "application/json", json.dumps(found))

    def _say(self, status: HTTPStatus, text: str) -> None:
        self._send(status, "text/plain", text)

    def _send(self, status: HTTPStatus, kind: str, text: str) -> None:
        self._send_bytes(status, f"{kind}; charset=utf-8", text.encode())

    def _send_bytes(self, status: HTTPStatus, kind: str, content: bytes) -> None:
        self.send_response(status)
        for name, value in _HEADERS.items():
            self.send_header(name, value)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *values: object) -> None:
        """Say nothing: what a browser asks is no news, and the token is no one's business."""
