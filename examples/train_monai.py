"""Train MONAI's U-Net, with MONAI's transforms for whole volumes and for patches."""

import argparse

import torch
from monai.losses import DiceCELoss
from monai.networks.nets import UNet
from monai.transforms import Compose, RandAffined, RandGaussianNoised, ScaleIntensityd

import voxloom as tio
from voxloom.adapters.monai import wrap

BOTH = ["t1", "tissues"]


def main() -> None:
    """Train for one epoch and print each loss."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    torch.manual_seed(0)

    template = tio.datasets.MNI152()
    subject = tio.Subject(t1=template.t1, tissues=template.tissues)
    prepare = wrap(ScaleIntensityd(["t1"]))
    augment = wrap(
        Compose(
            [
                RandAffined(BOTH, prob=1, rotate_range=0.2, mode=["bilinear", "nearest"]),
                RandGaussianNoised(["t1"], prob=0.5, std=0.02),
            ]
        )
    )
    dataset = tio.SubjectsDataset(3 * [subject], prepare)
    sampler = tio.LabelSampler(32, "tissues")
    queue = tio.Queue(dataset, 12, 4, sampler, num_workers=1, patch_transform=augment, seed=0)

    model = UNet(3, 1, 3, channels=(8, 16), strides=(2,))
    loss_of = DiceCELoss(to_onehot_y=True, softmax=True)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for batch in queue.batches(4):
        loss = loss_of(model(batch["t1"]["data"]), batch["tissues"]["data"])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        print(f"loss {loss.item():.3f}")


if __name__ == "__main__":
    main()
