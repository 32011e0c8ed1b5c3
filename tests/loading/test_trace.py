import json
from pathlib import Path

from voxloom.loading._marks import TRAINER, Mark
from voxloom.loading._trace import write_trace

MARKS = [
    Mark("cut", 1, 10.5, 10.75, 0, 3, {"crop": 0.25}),
    Mark("wait", TRAINER, 10.0, 11.0, 0, None, {}),
]


def test_each_mark_is_a_complete_event_in_microseconds_from_the_first(tmp_path: Path) -> None:
    write_trace(tmp_path / "trace.json", MARKS, workers=2)
    events = json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
    wait, cut = (event for event in events if event["ph"] == "X")
    assert (wait["name"], wait["ts"], wait["dur"]) == ("wait", 0, 1e6)
    assert (cut["ts"], cut["dur"]) == (5e5, 2.5e5)
    assert cut["args"] == {"epoch": 0, "subject": 3, "crop (ms)": 250.0}
    assert all({"ph", "pid", "name"} <= event.keys() for event in events)


def test_rows_are_named_and_every_event_has_one(tmp_path: Path) -> None:
    write_trace(tmp_path / "trace.json", MARKS, workers=2)
    events = json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
    rows = {e["tid"]: e["args"]["name"] for e in events if e["name"] == "thread_name"}
    assert rows == {0: "trainer", 1: "worker 0", 2: "worker 1"}
    assert {event["tid"] for event in events if event["ph"] == "X"} <= rows.keys()


def test_an_existing_file_is_replaced_and_nothing_else_is_left(tmp_path: Path) -> None:
    path = tmp_path / "trace.json"
    path.write_text("old")
    write_trace(path, [], workers=1)
    assert json.loads(path.read_text())["displayTimeUnit"] == "ms"
    assert list(tmp_path.iterdir()) == [path]
