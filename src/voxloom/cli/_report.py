"""A report: one HTML file with its pictures inside, or a folder of pictures and a page."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_STYLE: Final = """
:root { color-scheme: light dark; --line: #8884; --paper: #fff; --ink: #1c2126; --quiet: #57606a; }
@media (prefers-color-scheme: dark) {
  :root { --paper: #14181c; --ink: #e6e9ec; --quiet: #a4adb6; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 66rem; padding: 1.5rem 1rem 4rem; background: var(--paper);
  color: var(--ink); font: 1rem/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.6rem; line-height: 1.2; margin: 0 0 .5rem; }
h2 { font-size: 1.2rem; margin: 2.5rem 0 .5rem; }
p { margin: .5rem 0; max-width: 46rem; }
figure { margin: 1rem 0; }
figure a { display: block; background: #fff; border: 1px solid var(--line); border-radius: .5rem;
  overflow: hidden; }
img { display: block; width: 100%; height: auto; }
figcaption, .quiet { color: var(--quiet); font-size: .9rem; }
.table { overflow-x: auto; }
table { border-collapse: collapse; font-size: .9rem; overflow-wrap: normal; }
th, td { border-bottom: 1px solid var(--line); padding: .35rem .9rem .35rem 0; text-align: left;
  white-space: nowrap; font-variant-numeric: tabular-nums; }
li { margin: .25rem 0; }
.error { font-weight: 600; }
"""
_DOTS_PER_INCH: Final = 110


@dataclass(frozen=True, slots=True)
class Picture:
    """A figure, and what to say about it.

    Attributes
    ----------
    name : str
        Of its file, without the suffix.
    figure : matplotlib Figure
        The picture.
    caption : str
        What it shows, also for those who do not see it.
    """

    name: str
    figure: Figure
    caption: str

    def png(self) -> bytes:
        """Return the picture as PNG."""
        stream = BytesIO()
        self.figure.savefig(stream, format="png", dpi=_DOTS_PER_INCH)
        return stream.getvalue()


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the report: text, a table, notes and pictures, each of which may be absent.

    Attributes
    ----------
    title : str
        Its heading.
    text : str
        What to know first.
    columns, rows : sequences
        A table.
    notes : sequence of (grade, text)
        A list; errors stand out.
    pictures : sequence of Picture
        One below the other.
    """

    title: str
    text: str = ""
    columns: Sequence[str] = ()
    rows: Sequence[Sequence[object]] = ()
    notes: Sequence[tuple[str, str]] = ()
    pictures: Sequence[Picture] = ()


def write_report(path: Path, title: str, lead: str, sections: Sequence[Section]) -> list[Path]:
    """Write the report and return the files.

    Parameters
    ----------
    path : path
        One file, if it ends in ``.html``; else a folder for ``index.html`` and the pictures.
    title, lead : str
        What stands first.
    sections : sequence of Section
        What follows.

    Raises
    ------
    OSError
        If it cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     [file.name for file in write_report(Path(folder, "a.html"), "A", "Of a.", [])]
    ['a.html']
    """
    if is_one_file(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        page = _page(title, lead, sections, None)
        path.write_text(page, encoding="utf-8", errors="backslashreplace")
        return [path]
    path.mkdir(parents=True, exist_ok=True)
    files = [path / "index.html"]
    files += [path / f"{one.name}.png" for part in sections for one in part.pictures]
    page = _page(title, lead, sections, path)
    files[0].write_text(page, encoding="utf-8", errors="backslashreplace")
    return files


def is_one_file(path: Path) -> bool:
    """Whether a report there is one file, and not a folder.

    Examples
    --------
    >>> is_one_file(Path("report.html")), is_one_file(Path("pictures"))
    (True, False)
    """
    return path.suffix.lower() in (".html", ".htm")


def _page(title: str, lead: str, sections: Sequence[Section], folder: Path | None) -> str:
    body = "\n".join(line for part in sections for line in _section(part, folder))
    policy = "default-src 'none'; img-src 'self' data:; style-src 'unsafe-inline'"
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<title>{escape(title)}</title>
<style>{_STYLE}</style>
</head>
<body>
<main>
<h1>{escape(title)}</h1>
<p>{escape(lead)}</p>
{body}
</main>
</body>
</html>
"""


def _section(part: Section, folder: Path | None) -> Iterator[str]:
    yield f"<section>\n<h2>{escape(part.title)}</h2>"
    if part.text:
        yield f"<p>{escape(part.text)}</p>"
    if part.rows:
        yield from _table(part)
    if part.notes:
        items = (
            f'<li class="{escape(grade)}">{escape(grade)}: {escape(text)}</li>'
            for grade, text in part.notes
        )
        yield f"<ul>{''.join(items)}</ul>"
    for picture in part.pictures:
        yield _picture(picture, folder)
    yield "</section>"


def _table(part: Section) -> Iterator[str]:
    head = "".join(f'<th scope="col">{escape(column)}</th>' for column in part.columns)
    label = escape(part.title)
    yield f'<div class="table" role="region" aria-label="{label}" tabindex="0"><table>'
    yield f"<thead><tr>{head}</tr></thead><tbody>"
    for row in part.rows:
        cells = "".join(f"<td>{escape(str(cell))}</td>" for cell in row)
        yield f"<tr>{cells}</tr>"
    yield "</tbody></table></div>"


def _picture(picture: Picture, folder: Path | None) -> str:
    png = picture.png()
    if folder is None:
        target = f"data:image/png;base64,{base64.b64encode(png).decode()}"
        opening, closing = "<a>", "</a>"
    else:
        target = f"{picture.name}.png"
        (folder / target).write_bytes(png)
        opening, closing = f'<a href="{target}">', "</a>"
    caption = escape(picture.caption)
    image = f'<img src="{target}" alt="{caption}">'
    return f"<figure>{opening}{image}{closing}<figcaption>{caption}</figcaption></figure>"
