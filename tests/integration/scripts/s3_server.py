"""Moto's S3 server in a process of its own, which counts what it sends and fails when told to.

Prints its port. ``GET /_sent`` gives the bytes of objects sent since the last time, by key;
``PUT /_fault/KIND/COUNT`` spoils that many of the next requests for chunks.
"""

import json
import socket
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

SENT: Counter[str] = Counter()
FAULTS: list[str] = []
BUSY = b"<Error><Code>SlowDown</Code><Message>Reduce your request rate.</Message></Error>"
served = DomainDispatcherApplication(create_backend_app)


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    path = environ["PATH_INFO"]
    if path == "/_sent":
        body = json.dumps(SENT).encode()
        SENT.clear()
        start_response("200 OK", [("Content-Type", "application/json")])
        return [body]
    if path.startswith("/_fault/"):
        _, _, kind, count = path.split("/")
        FAULTS[:] = [kind] * int(count)
        start_response("200 OK", [("Content-Length", "0")])
        return [b""]
    if environ["REQUEST_METHOD"] != "GET":
        return served(environ, start_response)
    fault = FAULTS.pop() if FAULTS and ("/c/" in path or path.endswith((".h5", ".b2nd"))) else ""
    if fault == "busy":
        start_response("503 Slow Down", [("Content-Length", str(len(BUSY)))])
        return [BUSY]
    if fault == "reset":
        environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
        raise ConnectionError
    body = b"".join(served(environ, start_response))
    SENT[path] += len(body)
    return [body[: len(body) // 2] if fault == "cut" else body]


if __name__ == "__main__":
    server = make_server("127.0.0.1", 0, application, threaded=True)
    print(server.port, flush=True)
    server.serve_forever()
