import json

from voxloom.cli import ExitCode


def test_the_page_can_be_one_file(voxloom, tmp_path):
    said = voxloom("queue-page", "--output", "queue.html")
    assert (said.code, said.out) == (ExitCode.OK, "queue.html\n")
    assert "<html" in (tmp_path / "queue.html").read_text(encoding="utf-8")


def test_json_says_which_file(voxloom):
    said = voxloom("queue-page", "--output", "queue.html", "--json")
    assert json.loads(said.out) == {"file": "queue.html"}


def test_a_port_is_for_serving(voxloom):
    said = voxloom("queue-page", "--output", "queue.html", "--port", "8000")
    assert said.code == ExitCode.USAGE
    assert "leave it out with --output" in said.err


def test_it_serves_until_it_is_stopped(voxloom, monkeypatch):
    from urllib.request import urlopen

    from voxloom.view import PageServer

    asked = []
    monkeypatch.setattr(PageServer, "wait", lambda server: asked.append(open_page(server)))

    def open_page(server):
        with urlopen(server.address) as answer:
            return answer.status

    said = voxloom("queue-page")
    assert said.code == ExitCode.OK
    assert said.out.startswith("http://127.0.0.1:")
    assert asked == [200]
