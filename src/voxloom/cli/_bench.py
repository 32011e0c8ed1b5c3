"""``voxloom bench``: which settings are fast with these data on this machine."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Any

from voxloom._cores import count_cores
from voxloom._errors import CommandError
from voxloom._progress import progress_bar
from voxloom.cli._main import ExitCode
from voxloom.cli._options import DataOptions, PatchOptions, grouped
from voxloom.cli._sampling import describe_sampler
from voxloom.cli._sources import load_callable
from voxloom.cli._terminal import note, say, say_json, say_table, working
from voxloom.cli._trial import Course, Setting, recommend
from voxloom.cli._typer import AsJson, Option, Seed, Source, Transform

if TYPE_CHECKING:
    from voxloom.loading._execution import ExecutorName

EXAMPLES = """[bold]Examples:[/bold]

  voxloom bench data/

  voxloom bench data/ --patch-size 128 --batch-size 2 --step-time 0.3 --workers 1,2,4,8

  voxloom bench data/ --trainer training:step --transform training:augment --json
"""


@grouped
def bench(
    source: Source = None,
    *,
    data: DataOptions,
    cutting: PatchOptions,
    batch_size: Annotated[int, Option(min=1)] = 4,
    samples: Annotated[int, Option(min=1, help="Patches of each volume in an epoch.")] = 8,
    max_length: Annotated[int, Option(min=1, help="The most finished patches that are held.")] = 64,
    workers: Annotated[
        str | None,
        Option(metavar="N,...", help="Which numbers to try; up to the cores by default."),
    ] = None,
    executors: Annotated[str, Option(metavar="NAME,...", help="Which to try.")] = (
        "processes,threads"
    ),
    seconds: Annotated[float, Option(min=0.1, help="For each setting.")] = 8.0,
    step_time: Annotated[float, Option(min=0, help="Seconds that a training step takes.")] = 0.0,
    trainer: Annotated[
        str | None,
        Option(metavar="MODULE:NAME", help="Function that takes a batch and does a step."),
    ] = None,
    transform: Transform = None,
    seed: Seed = 0,
    as_json: AsJson = False,
) -> int:
    """Try workers and executors with your data, print a table, and recommend settings.

    Without --trainer or --step-time nothing trains, and what is measured is how fast patches
    can come. With one, it also says how fast the trainer is when it never waits.
    """
    if trainer and step_time:
        raise CommandError("--trainer and --step-time are two ways to say one thing; give one")
    step = _make_step(trainer, step_time)
    tried = parse_settings(workers, executors)
    chosen = data.open(source)
    if not as_json:
        note(chosen.says)
    chosen.dataset.set_transform(load_callable(transform, "--transform"))
    cutter = cutting.make_sampler(chosen.dataset, chosen.dataset.check())
    most = max(setting.workers for setting in tried)
    sizes = (max_length, samples, batch_size)
    course = Course(chosen.dataset, cutter, *sizes, seed, seconds, step or _do_nothing, most)
    result = {"source": chosen.says, **_measure(course, tried, trains=step is not None)}
    if as_json:
        say_json(result)
    else:
        _show(result)
    return ExitCode.OK


def parse_settings(workers: str | None, executors: str) -> list[Setting]:
    """Return which executors to try with how many workers; 0 workers are the trainer itself.

    Raises
    ------
    CommandError
        If a number or a name cannot be used.

    Examples
    --------
    >>> [one.executor for one in parse_settings("0,2", "processes,threads")]
    ['inline', 'processes', 'threads']
    """
    names: list[ExecutorName] = []
    for name in executors.split(","):
        match name.strip():
            case "processes" | "threads" as known:
                names.append(known)
            case other:
                raise CommandError(f"--executors are processes and threads, got {other!r}")
    if workers is None:
        numbers = sorted({0, 1, *(n for n in (2, 4, 8, 16) if n < count_cores()), count_cores()})
    else:
        parts = [part.strip() for part in workers.split(",")]
        if not all(part.isdecimal() and int(part) <= 256 for part in parts):
            raise CommandError(f"--workers are numbers from 0 to 256, as 1,2,4; got {workers!r}")
        numbers = sorted({int(part) for part in parts})
    found = [Setting("inline", 0)] if 0 in numbers else []
    return found + [Setting(name, number) for name in names for number in numbers if number]


def _make_step(trainer: str | None, step_time: float) -> Any:
    if trainer is not None:
        return load_callable(trainer, "--trainer")
    return (lambda batch: time.sleep(step_time)) if step_time else None


def _do_nothing(batch: dict[str, Any]) -> None:
    """Stand for a trainer that takes no time."""


def _measure(course: Course, tried: list[Setting], *, trains: bool) -> dict[str, Any]:
    """Run all trials and return what they gave, ready for JSON."""
    trials = []
    with working("warming up"):
        course.warm_up()
    with progress_bar(len(tried), "trying", unit="setting") as bar:
        for setting in tried:
            trials.append(course.run(setting))
            if bar is not None:
                bar.update(1)
    best = recommend(trials, trained=trains)
    with course.make_queue(best.setting) as queue:
        memory = queue.memory().total
        speed, step_s = course.ceiling(queue) if trains else (0.0, 0.0)
    return {
        "subjects": len(course.dataset),
        "sampler": describe_sampler(course.sampler),
        "batch_size": course.batch_size,
        "patches_in_batch": min(course.batch_size, len(course.dataset) * course.samples_per_volume),
        "trials": [trial.as_dict() for trial in trials],
        "ceiling": {"patches_per_s": speed, "step_s": step_s} if trains else None,
        "memory_bytes": memory,
        "recommended": {**best.as_dict(), "code": course.code(best.setting)},
    }


def _show(result: dict[str, Any]) -> None:
    best, ceiling = result["recommended"], result["ceiling"]
    columns = ("executor", "workers", "first batch s", "patches/s", "waiting", "")
    rows = [
        (
            one["executor"],
            one["workers"],
            f"{one['first_batch_s']:.2f}",
            f"{one['patches_per_s']:.1f}",
            f"{one['waiting_share']:.0%}",
            "<- recommended"
            if (one["executor"], one["workers"]) == (best["executor"], best["workers"])
            else "",
        )
        for one in result["trials"]
    ]
    say_table(f"{result['sampler']}, batches of {result['patches_in_batch']}", columns, rows)
    if ceiling is None:
        say(
            "Nothing trained, and all the time was waiting: this is how fast patches can come "
            "(see --step-time, --trainer)."
        )
    else:
        say(
            f"The trainer's own ceiling is {ceiling['patches_per_s']:.1f} patches a second, "
            f"{ceiling['step_s']:.3f} s a step; the queue gave it "
            f"{best['patches_per_s'] / ceiling['patches_per_s']:.0%} of that."
        )
    say(f"{best['advice']}")
    say(f"The queue takes up to {result['memory_bytes'] / 2**20:.1f} MiB. Recommended:")
    say(f"  queue = {best['code']}")
