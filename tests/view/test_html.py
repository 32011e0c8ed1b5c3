"""What notebooks show: whole, quiet and true, also without matplotlib."""

from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

import voxloom as tio
from voxloom.view import _html


class Reader(HTMLParser):
    """Reads cells, and complains of tags that are not closed and of anything that is fetched."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.cells: list[str] = []
        self.pictures = 0
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        assert tag not in {"script", "link", "iframe"}
        assert "href" not in given
        if tag == "img":
            assert str(given["src"]).startswith("data:image/png;base64,")
            assert given["alt"]
            self.pictures += 1
            return
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.cells.append(data)


def read(item: object) -> Reader:
    return Reader(item._repr_html_())  # type: ignore[attr-defined]


def test_an_image_tells_its_header_and_shows_three_planes(subject: tio.Subject) -> None:
    shown = read(subject.t1)
    assert {"ScalarImage", "(1, 10, 12, 8)", "2 x 1 x 3", "LAS+", "float32"} <= set(shown.cells)
    assert shown.pictures == 1


def test_a_subject_tells_its_images_and_what_is_known(subject: tio.Subject) -> None:
    shown = read(subject.replace(age=42, note="<b>bold</b>"))
    assert {"t1", "seg", "label", "age", "42", "<b>bold</b>"} <= set(shown.cells)
    assert shown.pictures == 1


def test_a_queue_tells_its_settings_and_then_what_it_measured(subject: tio.Subject) -> None:
    dataset = tio.SubjectsDataset([subject] * 3)
    queue = tio.Queue(dataset, 6, 2, tio.UniformSampler(4), seed=11)
    before = read(queue)
    assert {"seed", "11", "epoch 0, 0 patches delivered"} <= set(before.cells)
    assert before.pictures == 0
    list(queue.batches(2))
    after = read(queue)
    assert {"epoch 1, 0 patches delivered", "patches a second", "crop"} <= set(after.cells)
    assert after.pictures == 1


def test_without_matplotlib_there_is_the_table(
    subject: tio.Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_html, "find_spec", lambda name: None)
    for item in (subject, subject.t1):
        shown = read(item)
        assert shown.pictures == 0
        assert "(1, 10, 12, 8)" in shown.cells


def test_a_small_file_is_shown_and_not_kept_loaded(subject: tio.Subject, tmp_path: Path) -> None:
    subject.t1.save(tmp_path / "t1.nii.gz")
    image = tio.ScalarImage(tmp_path / "t1.nii.gz")
    shown = read(image)
    assert (shown.pictures, image.is_loaded) == (1, False)
    assert str(tmp_path / "t1.nii.gz") in shown.cells


def test_a_large_file_is_not_decoded_unasked(
    subject: tio.Subject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_html, "_DRAWN_UNASKED", 100)
    subject.t1.save(tmp_path / "t1.nii.gz")
    image = tio.ScalarImage(tmp_path / "t1.nii.gz")
    assert "Too large to be decoded unasked: " in read(image).cells
    assert read(image.load()).pictures == 1


@pytest.mark.parametrize("is_there", [True, False])
def test_what_cannot_be_read_is_said_and_not_raised(
    subject: tio.Subject, tmp_path: Path, is_there: bool
) -> None:
    file = tmp_path / "t1.nii"
    subject.t1.save(file)
    image = tio.ScalarImage(file)
    file.write_bytes(b"?") if is_there else file.unlink()
    for item in (image, tio.Subject(t1=image, age=1)):
        shown = read(item)
        assert shown.pictures == 0
        assert any("t1.nii" in cell for cell in shown.cells)


def test_images_that_do_not_lie_together_are_no_reason_to_show_nothing() -> None:
    one = tio.ScalarImage(tensor=np.ones((1, 4, 4, 4)))
    other = tio.LabelMap(tensor=np.ones((1, 4, 4, 4)), affine=np.diag([2.0, 2, 2, 1]))
    shown = read(tio.Subject(t1=one, seg=other))
    assert shown.pictures == 0
    assert any(cell.startswith("No picture: ") for cell in shown.cells)
