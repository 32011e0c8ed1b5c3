"""How a report says what it found."""

import pytest

from voxloom.subjects import CheckReport, Finding, ImageRow


def row(subject: str, **facts: object) -> ImageRow:
    number = int(subject)
    return ImageRow(number, subject, "t1", "intensity", (f"{subject}.nii",), **facts)  # type: ignore[arg-type]


def test_ranges_and_counts_are_shown_where_images_differ() -> None:
    report = CheckReport(
        (
            row("0", shape=(1, 4, 9, 6), spacing=(1.0, 1.0, 2.5), orientation="RAS", dtype="int16"),
            row("1", shape=(1, 5, 8, 6), spacing=(1.0, 1.0, 1.0), orientation="LAS", dtype="int16"),
            row("2", problem="it is gone"),
        ),
        (),
    )
    assert str(report).splitlines()[1] == (
        "  t1 (intensity): 3 images, shape (1, 4, 8, 6) to (1, 5, 9, 6), spacing (1, 1, 1) to "
        "(1, 1, 2.5) mm, 1 x RAS and 1 x LAS, int16"
    )


def test_findings_of_one_kind_are_shown_five_at_a_time() -> None:
    findings = tuple(Finding("error", "missing-file", f"file {n}") for n in range(8))
    text = str(CheckReport((row("0", problem="gone"),), findings))
    assert "file 4" in text
    assert "file 5" not in text
    assert "error missing-file: 3 more" in text
    assert "none of them readable" in text


@pytest.mark.parametrize(("grade", "ok"), [("error", False), ("warning", True), ("info", True)])
def test_only_errors_stop_a_training(grade: str, ok: bool) -> None:
    assert CheckReport((), (Finding(grade, "x", "y"),)).ok is ok  # type: ignore[arg-type]
