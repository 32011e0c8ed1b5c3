"""Stop anywhere in an epoch, and go on as if nothing had happened."""

import tempfile
from pathlib import Path

import torch

import voxloom as tio


def make_queue(num_workers: int) -> tio.Queue:
    """Return the queue; how many work for it changes nothing."""
    template = tio.datasets.MNI152()
    dataset = tio.SubjectsDataset(4 * [tio.Subject(t1=template.t1)])
    return tio.Queue(dataset, 8, 4, tio.UniformSampler(32), num_workers=num_workers, seed=0)


def main() -> None:
    """Compare an epoch that went through with one that was stopped after a batch."""
    model = torch.nn.Conv3d(1, 1, 3)
    whole = [batch["location"].tolist() for batch in make_queue(0).batches(4)]

    stopped = make_queue(0)
    next(stopped.batches(4))
    path = Path(tempfile.mkdtemp()) / "checkpoint.pt"
    torch.save({"model": model.state_dict(), "queue": stopped.state_dict()}, path)

    checkpoint = torch.load(path)
    model.load_state_dict(checkpoint["model"])
    with make_queue(1) as resumed:
        resumed.load_state_dict(checkpoint["queue"])
        rest = [batch["location"].tolist() for batch in resumed.batches(4)]
    print(f"{len(rest)} batches were left; the same as without a stop: {rest == whole[1:]}")


if __name__ == "__main__":
    main()
