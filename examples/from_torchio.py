"""A script for TorchIO 1.x, with two lines changed: they end in ``# changed``."""

import sys
from pathlib import Path

import torchio
from torch.utils.data import DataLoader

import voxloom as tio  # changed


def main(folder: Path) -> None:
    """Read ``*_t1.nii.gz`` and ``*_seg.nii.gz`` from a folder and print what batches hold."""
    subjects = [
        tio.Subject(
            t1=tio.ScalarImage(path),
            seg=tio.LabelMap(path.with_name(path.name.replace("_t1", "_seg"))),
            name=path.name,
        )
        for path in sorted(folder.glob("*_t1.nii.gz"))
    ]
    transform = torchio.Compose(
        [torchio.RescaleIntensity((0, 1)), torchio.RandomFlip(), torchio.RandomAffine()]
    )
    dataset = tio.SubjectsDataset(subjects, tio.adapters.torchio.wrap(transform))  # changed
    sampler = tio.LabelSampler(16, "seg", {0: 1, 1: 1, 2: 1})
    queue = tio.Queue(dataset, 12, 4, sampler, num_workers=1)
    for batch in DataLoader(queue, batch_size=4):
        t1, seg = batch["t1"][tio.DATA], batch["seg"][tio.DATA]
        print(tuple(t1.shape), tuple(seg.shape), tuple(batch[tio.LOCATION].shape))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
