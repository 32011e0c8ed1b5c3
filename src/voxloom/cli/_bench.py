"""``voxloom bench``: which settings are fast with these data on this machine."""

from __future__ import annotations

import time
from typing import Annotated, Any

from voxloom._errors import CommandError
from voxloom._progress import progress_bar
from voxloom.cli._info import count_cores
from voxloom.cli._main import ExitCode
from voxloom.cli._sampling import choose_patch_size, choose_sampler, describe_sampler
from voxloom.cli._sources import Chosen, choose_dataset, load_callable
from voxloom.cli._terminal import note, say, say_json, say_table, working
from voxloom.cli._typer import (
    AsJson,
    Csv,
    Glob,
    Images,
    Labels,
    MapName,
    Msd,
    Nnunet,
    Option,
    PatchSizeText,
    SamplerName,
    Seed,
    Shares,
    Source,
    Transform,
)

EXAMPLES = """[bold]Examples:[/bold]

  voxloom bench data/

  voxloom bench data/ --patch-size 128 --batch-size 2 --step-time 0.3 --workers 1,2,4,8

  voxloom bench data/ --trainer training:step --transform training:augment --json
"""


def bench(
    source: Source = None,
    msd: Msd = None,
    nnunet: Nnunet = None,
    csv: Csv = None,
    glob: Glob = None,
    image: Images = None,
    label: Labels = None,
    patch_size: PatchSizeText = None,
    sampler: SamplerName = "auto",
    map_name: MapName = None,
    shares: Shares = None,
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
    chosen = choose_dataset(source, msd, nnunet, csv, glob, image, label)
    if not as_json:
        note(chosen.says)
    chosen.dataset.set_transform(load_callable(transform, "--transform"))
    with working("reading headers"):
        size = choose_patch_size(patch_size, chosen.dataset.check())
    cutter = choose_sampler(sampler, size, chosen.dataset.dry_iter()[0], map_name, shares)
    result = _measure(chosen, cutter, (max_length, samples, batch_size, seed), tried, seconds, step)
    if as_json:
        say_json(result)
    else:
        _show(result)
    return ExitCode.OK


def parse_settings(workers: str | None, executors: str) -> list[tuple[str, int]]:
    """Return which executors to try with how many workers; 0 workers are the trainer itself.

    Raises
    ------
    CommandError
        If a number or a name cannot be used.

    Examples
    --------
    >>> parse_settings("0,2", "processes,threads")
    [('inline', 0), ('processes', 2), ('threads', 2)]
    """
    names = [name.strip() for name in executors.split(",")]
    unknown = [name for name in names if name not in ("processes", "threads")]
    if unknown:
        raise CommandError(f"--executors are processes and threads, got {', '.join(unknown)}")
    if workers is None:
        numbers = sorted({0, 1, *(n for n in (2, 4, 8, 16) if n < count_cores()), count_cores()})
    else:
        parts = [part.strip() for part in workers.split(",")]
        if not all(part.isdecimal() and int(part) <= 256 for part in parts):
            raise CommandError(f"--workers are numbers from 0 to 256, as 1,2,4; got {workers!r}")
        numbers = sorted({int(part) for part in parts})
    found = [("inline", 0)] if 0 in numbers else []
    return found + [(name, number) for name in names for number in numbers if number]


def _make_step(trainer: str | None, step_time: float) -> Any:
    if trainer is not None:
        return load_callable(trainer, "--trainer")
    return (lambda batch: time.sleep(step_time)) if step_time else None


def _measure(
    chosen: Chosen,
    sampler: Any,
    sizes: tuple[int, int, int, int],
    tried: list[tuple[str, int]],
    seconds: float,
    step: Any,
) -> dict[str, Any]:
    from voxloom.cli._trial import Setting, recommend, run_trial, trainer_ceiling
    from voxloom.loading import Queue

    max_length, samples, batch_size, seed = sizes

    def make_queue(setting: Setting) -> Queue:
        return Queue(
            chosen.dataset,
            max_length,
            samples,
            sampler,
            num_workers=setting.workers,
            executor=setting.executor,
            seed=seed,
        )

    trainer = step or (lambda batch: None)
    trials = []
    with progress_bar(len(tried), "trying", unit="setting") as bar:
        for executor, workers in tried:
            setting = Setting(executor, workers)  # type: ignore[arg-type]
            trials.append(
                run_trial(
                    make_queue, setting, batch_size=batch_size, seconds=seconds, trainer=trainer
                )
            )
            if bar is not None:
                bar.update(1)
    best = recommend(trials, trained=step is not None)
    result: dict[str, Any] = {
        "source": chosen.says,
        "subjects": len(chosen.dataset),
        "sampler": describe_sampler(sampler),
        "batch_size": batch_size,
        "trials": [trial.as_dict() for trial in trials],
        "ceiling": None,
    }
    with make_queue(best.setting) as queue:
        result["memory_bytes"] = queue.memory().total
        if step is not None:
            speed, step_s = trainer_ceiling(
                queue, batch_size=batch_size, seconds=seconds, trainer=step
            )
            result["ceiling"] = {"patches_per_s": speed, "step_s": step_s}
    result["recommended"] = {
        **best.as_dict(),
        "max_length": max_length,
        "samples_per_volume": samples,
        "code": (
            f"queue = voxloom.Queue(dataset, {max_length}, {samples}, "
            f"voxloom.{describe_sampler(sampler)}, num_workers={best.setting.workers}"
            + (f", executor={best.setting.executor!r})" if best.setting.workers else ")")
        ),
    }
    return result


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
    say_table(f"{result['sampler']}, batches of {result['batch_size']}", columns, rows)
    if ceiling is None:
        say("Nothing trained: this is how fast patches can come (see --step-time, --trainer).")
    else:
        say(
            f"The trainer's own ceiling is {ceiling['patches_per_s']:.1f} patches a second, "
            f"{ceiling['step_s']:.3f} s a step; the queue gave it "
            f"{best['patches_per_s'] / ceiling['patches_per_s']:.0%} of that."
        )
    say(f"{best['advice']}")
    say(f"The queue takes up to {result['memory_bytes'] / 2**20:.0f} MiB. Recommended:")
    say(f"  {best['code']}")
