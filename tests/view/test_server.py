"""The server answers this machine, and only whoever knows the address."""

import http.client
import json
from collections.abc import Iterator
from urllib.parse import quote, urlsplit

import pytest

from voxloom._errors import QueueError
from voxloom.view import PageServer, serve_queue_page
from voxloom.view._page import render_page
from voxloom.view._server import answer_run
from voxloom.view._settings import Settings
from voxloom.view._simulation import simulate


@pytest.fixture(scope="module")
def server() -> Iterator[PageServer]:
    with serve_queue_page() as server:
        yield server


def ask(
    server: PageServer, path: str, host: str | None = None, method: str = "GET"
) -> tuple[int, str]:
    """Send one request as it stands: no client tidies the path up."""
    address = urlsplit(server.address)
    assert address.hostname == "127.0.0.1"
    line = http.client.HTTPConnection("127.0.0.1", address.port, timeout=10)
    line.putrequest(method, path, skip_host=True)
    if host != "":
        line.putheader("Host", host or address.netloc)
    line.endheaders()
    answer = line.getresponse()
    text = answer.read().decode()
    line.close()
    return answer.status, text


def token_path(server: PageServer) -> str:
    return urlsplit(server.address).path


def test_the_address_gives_the_page(server: PageServer) -> None:
    assert ask(server, token_path(server)) == (200, render_page("served"))


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost:80", "[::1]:8000", "LOCALHOST"])
def test_this_machine_may_go_by_any_of_its_own_names(server: PageServer, host: str) -> None:
    assert ask(server, token_path(server), host)[0] == 200


@pytest.mark.parametrize("path", ["/", "", "/wrong/", "/wrong/run", "//", "/%2e%2e/", "/\u00e9/"])
def test_without_the_token_or_with_another_it_is_forbidden(server: PageServer, path: str) -> None:
    status, text = ask(server, quote(path, safe="/%") or "/")
    assert (status, "open the whole address" in text) == (403, True)
    assert server.address not in text


@pytest.mark.parametrize("cut", [1, 5])
def test_a_part_of_the_token_is_not_enough(server: PageServer, cut: int) -> None:
    token = token_path(server).strip("/")
    assert ask(server, f"/{token[:-cut]}/")[0] == 403


@pytest.mark.parametrize(
    "host",
    [
        "",
        "example.org",
        "127.0.0.1.example.org",
        "localhost.example.org:80",
        "127.0.0.1@x",
        "0.0.0.0",
    ],
)
def test_another_host_is_forbidden_even_with_the_token(server: PageServer, host: str) -> None:
    status, text = ask(server, token_path(server), host)
    assert (status, text) == (403, "this page is for this machine only")


@pytest.mark.parametrize(
    "rest",
    [
        *("page.js", "page/page.css", "../_server.py", "..%2f..%2f__init__.py", "//etc/passwd"),
        *("%2e%2e/%2e%2e/etc/passwd", "run/..", "favicon.ico", "live"),
    ],
)
def test_no_file_is_served(server: PageServer, rest: str) -> None:
    assert ask(server, token_path(server) + rest) == (404, "there is nothing here")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD", "TRACE"])
def test_nothing_but_reading_is_understood(server: PageServer, method: str) -> None:
    assert ask(server, token_path(server), method=method)[0] == 501


def test_a_run_is_the_library_s_own(server: PageServer) -> None:
    settings = {"subjects": 5, "schedule": "fill", "epochs": 1}
    status, text = ask(server, f"{token_path(server)}run?settings={quote(json.dumps(settings))}")
    expected = simulate(Settings(subjects=5, schedule="fill", epochs=1)).as_dict()
    assert (status, json.loads(text)) == (200, json.loads(json.dumps(expected)))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ("{", "as JSON"),
        ("[1]", "as JSON"),
        ('{"volumes": 3}', "volumes"),
        ('{"subjects": 99}', "32"),
    ],
)
def test_what_are_no_settings_is_said(server: PageServer, settings: str, message: str) -> None:
    status, text = ask(server, f"{token_path(server)}run?settings={quote(settings)}")
    assert (status, message in text) == (400, True)
    with pytest.raises(QueueError, match=message):
        answer_run({"settings": settings})


def test_two_servers_have_different_tokens_and_closing_twice_is_harmless() -> None:
    with serve_queue_page() as one, serve_queue_page() as other:
        assert token_path(one) != token_path(other)
        assert ask(one, token_path(other))[0] == 403
    one.close()
    with pytest.raises(ConnectionRefusedError, match="refused"):
        ask(one, token_path(one))


def test_a_port_can_be_chosen_and_is_taken_then() -> None:
    with serve_queue_page() as server:
        port = urlsplit(server.address).port
        assert port is not None
        with pytest.raises(OSError, match="in use"):
            serve_queue_page(port)
