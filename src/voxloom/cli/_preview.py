"""``voxloom preview``: what the subjects look like, and where a sampler cuts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np

from voxloom._errors import CommandError
from voxloom._progress import progress_bar
from voxloom.cli._main import ExitCode
from voxloom.cli._options import DataOptions, PatchOptions, grouped
from voxloom.cli._report import Picture, Section, is_one_file, write_report
from voxloom.cli._sampling import describe_sampler
from voxloom.cli._sources import make_folder
from voxloom.cli._terminal import note, say, say_json, working
from voxloom.cli._typer import AsJson, Option, Seed, Source
from voxloom.patches import LabelSampler, PatchSampler
from voxloom.subjects import CheckReport, Subject, collate
from voxloom.subjects._check_report import counted

EXAMPLES = """[bold]Examples:[/bold]

  voxloom preview data/

  voxloom preview data/ --patch-size 96,96,64 --shares 0=1,1=2 --output report.html

  voxloom preview --msd Task09_Spleen --sampler uniform --subjects 8 --output pictures/
"""


@grouped
def preview(
    source: Source = None,
    *,
    data: DataOptions,
    cutting: PatchOptions,
    output: Annotated[
        Path, Option("--output", "-o", help="A .html file, or a folder for the pictures.")
    ] = Path("preview.html"),
    subjects: Annotated[int, Option(min=1, help="How many subjects are shown.")] = 4,
    patches: Annotated[int, Option(min=1, help="How many centres are drawn in each.")] = 300,
    mosaic: Annotated[int, Option(min=1, max=64, help="How many patches are shown.")] = 16,
    seed: Seed = 0,
    as_json: AsJson = False,
) -> int:
    """Draw subjects, where a sampler cuts them, and patches: one HTML file, or a folder."""
    _check_kind(output)
    chosen = data.open(source)
    if not as_json:
        note(chosen.says)
    report = chosen.dataset.check()
    everyone = chosen.dataset.dry_iter()
    drawer = cutting.make_sampler(chosen.dataset, report)
    make_folder(output.parent if is_one_file(output) else output)
    shown = [everyone[n] for n in spread_over(len(everyone), subjects)]
    counts, parts = _look_at(shown, drawer, patches, mosaic, seed)
    name = describe_sampler(drawer)
    sections = [_data_section(report), *parts]
    lead = f"{chosen.says}. Patches are cut by {name}, seed {seed}."
    with working("writing the report"):
        files = write_report(
            output, f"Preview of {counted(len(everyone), 'subject')}", lead, sections
        )
    if as_json:
        paths = [str(file) for file in files]
        say_json({"source": chosen.says, "sampler": name, "centres": counts, "files": paths})
    else:
        say(f"{name}: {_share_text(counts) or 'drawn'}")
        say(files[0])
    return ExitCode.OK


def _check_kind(output: Path) -> None:
    """Refuse a name such as preview.pdf: what is written is a page, or a folder of pictures."""
    ending = output.suffix
    if ending[1:].isalpha() and not is_one_file(output) and not output.is_dir():
        raise CommandError(
            f"--output is a .html file or a folder, got {str(output)!r}; make a folder of that "
            f"name first if {ending} does not stand for a kind of file"
        )


def spread_over(count: int, wanted: int) -> list[int]:
    """Return so many numbers below `count`, evenly spread, the first and the last among them.

    Examples
    --------
    >>> spread_over(10, 4), spread_over(2, 4)
    ([0, 3, 6, 9], [0, 1])
    """
    return sorted({round(n) for n in np.linspace(0, count - 1, min(wanted, count))})


def draw_locations(subject: Subject, sampler: PatchSampler, count: int, seed: int) -> np.ndarray:
    """Return ``(count, 6)`` first and last-plus-one voxels; nothing is cut."""
    draw = sampler.prepare(subject)
    rng = np.random.default_rng(seed)
    boxes = (sampler.box_at(subject.spatial_shape, draw(rng)) for _ in range(count))
    return np.array([(*box.index_ini, *box.index_fin) for box in boxes])


def _look_at(
    subjects: Sequence[Subject], sampler: PatchSampler, count: int, mosaic: int, seed: int
) -> tuple[dict[str, int], list[Section]]:
    """Return how often each label was a centre, and the sections of subjects and patches."""
    counts: Counter[str] = Counter()
    labels, shares = None, None
    if isinstance(sampler, LabelSampler):
        labels, shares = sampler.label_name, sampler.label_probabilities
    sections, patches = [], []
    with progress_bar(len(subjects), "drawing", unit="subject") as bar:
        for number, stored in enumerate(subjects):
            subject = stored.load()
            locations = draw_locations(subject, sampler, count, seed)
            counts.update(_count_labels(subject, labels, shares or {}, locations))
            sections.append(_subject_section(number, subject, labels, locations))
            each = -(-mosaic // len(subjects))
            patches += list(sampler(_only_images(subject), each, rng=seed))
            if bar is not None:
                bar.update(1)
    return dict(_by_label(counts)), [
        *sections,
        _patch_section(patches[:mosaic], labels, counts),
    ]


def _by_label(counts: Counter[str]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda item: float(item[0]))


def _only_images(subject: Subject) -> Subject:
    """Return the subject without metadata, which may differ in kind between subjects."""
    images: dict[str, Any] = dict(subject.get_images_dict(intensity_only=False))
    return Subject(**images)


def _count_labels(
    subject: Subject, name: str | None, shares: Mapping[int, float], locations: np.ndarray
) -> Counter[str]:
    """Return on how many centres each label is; those that have a share may be on none."""
    from voxloom.view._panel import as_labels
    from voxloom.view._subject import find_labels

    image = find_labels(subject, name)
    if image is None:
        return Counter()
    first = int(image.num_channels > 1)  # channels have shares from 0 on, and are labels from 1 on
    asked = [f"{key + first:g}" for key, share in shares.items() if share]
    middle = (locations[:, :3] + locations[:, 3:]) // 2
    inside = np.clip(middle, 0, np.array(subject.spatial_shape) - 1)  # of patches that overhang
    counts = Counter(dict.fromkeys(asked, 0))
    counts.update(f"{value:g}" for value in as_labels(image.read())[tuple(inside.T)])
    return counts


def _subject_section(
    number: int, subject: Subject, labels: str | None, locations: np.ndarray
) -> Section:
    from voxloom.view import plot_centres, plot_subject

    name = str(subject.get("subject_id", number))
    described = f"{' x '.join(map(str, subject.spatial_shape))} voxels of " + " x ".join(
        f"{mm:.3g}" for mm in subject.spacing
    )
    pictures = [
        Picture(
            f"subject-{number}", plot_subject(subject, labels=labels), f"Three planes of {name}."
        ),
        Picture(
            f"centres-{number}",
            plot_centres(subject, locations, labels=labels),
            f"Where the centres of {counted(len(locations), 'patch')} fell in {name}. The dashed "
            "frame holds all voxels that can be a centre.",
        ),
    ]
    return Section(f"Subject {name}", f"{described} mm.", pictures=pictures)


def _patch_section(patches: Sequence[Subject], labels: str | None, counts: Counter[str]) -> Section:
    from voxloom.view import plot_batch

    batch = collate(patches)
    caption = (
        f"The middle slice of {counted(len(patches), 'patch')}; above each is its first voxel."
    )
    columns = ("label", "centres", "share")
    total = counts.total() or 1
    rows = [(label, n, f"{n / total:.1%}") for label, n in _by_label(counts)]
    figure = plot_batch(batch, labels=labels, limit=len(patches))
    return Section(
        "Patches",
        "How often each label was the centre of a patch:" if rows else "",
        columns,
        rows,
        pictures=[Picture("patches", figure, caption)],
    )


def _data_section(report: CheckReport) -> Section:
    columns = ("subject", "image", "type", "channels", "voxels", "mm", "axes", "stored as")
    rows = [
        (
            row.subject,
            row.image,
            row.type,
            *(("", "", "", "", "unreadable") if row.shape is None else _facts(row)),
        )
        for row in report.rows[:40]
    ]
    hidden = len(report.rows) - len(rows)
    text = f"The first {len(rows)} images; {hidden} more are alike or not." if hidden > 0 else ""
    notes = [(one.grade, one.message) for one in report.findings[:20]]
    return Section("Data", text, columns, rows, notes)


def _facts(row: object) -> tuple[object, ...]:
    shape, spacing = row.shape, row.spacing  # type: ignore[attr-defined]
    voxels = " x ".join(map(str, shape[1:]))
    mm = " x ".join(f"{length:.3g}" for length in spacing)
    return shape[0], voxels, mm, row.orientation, row.dtype  # type: ignore[attr-defined]


def _share_text(counts: dict[str, int]) -> str:
    total = sum(counts.values())
    if not total:
        return ""
    shares = ", ".join(f"{n / total:.0%} on {label}" for label, n in counts.items())
    return f"centres {shares}"
