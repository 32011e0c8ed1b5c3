import re

import pytest

from voxloom.cli._report import Picture, Section, write_report

pytest.importorskip("matplotlib")


def sections():
    from matplotlib.figure import Figure

    picture = Picture("one", Figure(figsize=(1, 1)), "A <figure> & its caption")
    table = Section("Data <1>", "Text & more.", ("a", "b"), [("<x>", 2)], [("error", "it's <bad>")])
    return [table, Section("Pictures", pictures=[picture])]


def test_one_file_holds_everything_and_asks_for_nothing(tmp_path):
    files = write_report(tmp_path / "deep" / "a.html", "Title", "Lead", sections())
    page = files[0].read_text()
    assert len(files) == 1
    assert page.count("data:image/png;base64,") == 1
    assert re.findall(r'(?:src|href)="(?!data:)', page) == []
    assert "default-src 'none'" in page


def test_a_folder_holds_a_page_and_its_pictures(tmp_path):
    files = write_report(tmp_path / "report", "Title", "Lead", sections())
    assert [file.name for file in files] == ["index.html", "one.png"]
    assert files[1].read_bytes().startswith(b"\x89PNG")
    assert 'src="one.png"' in files[0].read_text()


def test_what_comes_from_outside_is_escaped(tmp_path):
    page = write_report(tmp_path / "a.html", "<script>", "<b>", sections())[0].read_text()
    for text in ("<script>", "<b>", "<x>", "<bad>", "<figure> &", "<1>"):
        assert text not in page
    assert 'alt="A &lt;figure&gt; &amp; its caption"' in page


def test_a_page_reads_well_without_eyes(tmp_path):
    page = write_report(tmp_path / "a.html", "Title", "Lead", sections())[0].read_text()
    assert '<html lang="en">' in page
    assert 'name="viewport"' in page
    assert page.count("<h1>") == 1
    assert 'scope="col"' in page
    assert page.count("<img") == page.count("alt=")
