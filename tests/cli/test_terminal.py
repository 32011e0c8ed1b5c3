import json

from voxloom.cli._terminal import say_json, say_table, working


def test_numbers_that_json_does_not_know_become_null(capsys):
    say_json({"a": float("nan"), "b": [float("inf"), 1.5], "c": {"d": None}})
    assert json.loads(capsys.readouterr().out) == {"a": None, "b": [None, 1.5], "c": {"d": None}}


def test_a_table_keeps_brackets_and_all_columns(capsys):
    say_table("Title", ("name", "number"), [("[bold]x[/bold]", 1), ("y", 20)])
    out = capsys.readouterr().out
    assert "[bold]x[/bold]" in out
    assert "number" in out


def test_a_table_that_does_not_fit_is_paragraphs_with_whole_words(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    columns = ("executor", "workers", "first batch s", "patches/s", "waiting", "")
    say_table("Title", columns, [("inline", 0, "0.03", "195.1", "98%", "<- recommended")])
    title, *lines = capsys.readouterr().out.splitlines()
    assert (title, max(map(len, lines)) <= 40) == ("Title", True)
    assert " ".join(line.strip() for line in lines) == (
        "- executor inline, workers 0, first batch s 0.03, patches/s 195.1, waiting 98%, "
        "<- recommended"
    )


def test_a_pipe_has_room_for_a_table_that_a_wide_terminal_shows(capsys, monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)
    say_table("", ("long",), [("word " * 20,)])
    assert "word " * 20 in capsys.readouterr().out


def test_nothing_moves_where_nobody_watches(capsys):
    with working("doing"):
        pass
    assert capsys.readouterr() == ("", "")
