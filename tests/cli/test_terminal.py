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


def test_nothing_moves_where_nobody_watches(capsys):
    with working("doing"):
        pass
    assert capsys.readouterr() == ("", "")
