"""A loop on several ranks of torchrun that gathers what each was given."""

import itertools
import json
import os
import sys
from pathlib import Path

import torch
import torch.distributed as dist
from torch.utils.data import DistributedSampler

from voxloom import Queue, ScalarImage, Subject, SubjectsDataset, UniformSampler

BATCH, SUBJECTS, SAMPLES = 2, 22, 3


class Counting:
    """Leaves a mark each time a decoded subject goes through."""

    def __init__(self, marks: Path) -> None:
        self.marks = marks

    def __call__(self, subject: Subject) -> Subject:
        with (self.marks / str(subject.number)).open("a") as file:
            file.write("x")
        return subject


def make(folder: Path, marks: Path, **options: object) -> Queue:
    subjects = [Subject(t1=ScalarImage(folder / f"{n}.npy"), number=n) for n in range(SUBJECTS)]
    dataset = SubjectsDataset(subjects, Counting(marks))
    return Queue(dataset, 12, SAMPLES, UniformSampler(4), **options)


def gather(item: object) -> list:
    found: list = [None] * dist.get_world_size()
    dist.all_gather_object(found, item)
    return found


def show(batch: dict) -> list:
    return [batch["number"].tolist(), batch["location"].tolist(),
            batch["t1"]["data"].double().sum(dim=(1, 2, 3, 4)).tolist()]  # fmt: skip


def make_early(folder: Path) -> Queue:
    """Return a queue whose workers begin before ranks can talk to each other."""
    marks = folder / "marks-late"
    marks.mkdir(exist_ok=True)
    torch.manual_seed(200 + int(os.environ["RANK"]))
    return make(folder, marks, num_workers=1)


def run_late(queue: Queue, folder: Path) -> None:
    steps = gather([show(batch) for batch in queue.batches(BATCH)])
    if dist.get_rank() == 0:
        found = {"seed": queue.seed, "steps": steps}
        (folder / f"late-{dist.get_world_size()}.json").write_text(json.dumps(found))
    queue.close()


def run(kind: str, folder: Path) -> None:
    rank, world = dist.get_rank(), dist.get_world_size()
    torch.manual_seed(100 + rank)  # no seed is given: ranks have to agree on one
    state, marks = folder / "state.json", folder / f"marks-{kind}-{world}"
    marks.mkdir(exist_ok=True)
    options: dict = {"lanes": 4}
    if kind == "sampler":
        sampler = DistributedSampler(range(SUBJECTS), num_replicas=world, rank=rank, seed=3)
        options = {"subject_sampler": sampler, "shuffle_subjects": False}
    if kind == "resume":
        options["seed"] = json.loads(state.read_text())["seed"]
    queue = make(folder, marks, **options)
    if kind == "resume":
        queue.load_state_dict(json.loads(state.read_text()))
    stop = 3 if kind == "stop" else None
    given = [show(batch) for batch in itertools.islice(queue.batches(BATCH), stop)]
    steps = gather(given)
    if rank == 0:
        found = {"seed": queue.seed, "steps": steps, "state": queue.state_dict()}
        (folder / f"{kind}-{world}.json").write_text(json.dumps(found))
        if kind == "stop":
            state.write_text(json.dumps(queue.state_dict()))
    queue.close()


if __name__ == "__main__":
    place, kinds = Path(sys.argv[1]), sys.argv[2:]
    early = make_early(place) if "late" in kinds else None
    dist.init_process_group("gloo")
    if early is not None:
        run_late(early, place)
    for each in kinds:
        if each != "late":
            run(each, place)
    dist.destroy_process_group()
