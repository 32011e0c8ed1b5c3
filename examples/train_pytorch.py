"""Train a network on patches in a plain PyTorch loop."""

import argparse

import torch
from torch.utils.data import DataLoader

import voxloom as tio


def main() -> None:
    """Train for three epochs and print each loss."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--subjects", type=int, default=4)
    parser.add_argument("--workers", type=int, default=2)
    asked = parser.parse_args()
    torch.manual_seed(0)

    template = tio.datasets.MNI152()
    subject = tio.Subject(t1=template.t1, tissues=template.tissues)
    dataset = tio.SubjectsDataset(asked.subjects * [subject])
    sampler = tio.LabelSampler(32, "tissues", {0: 1, 1: 1, 2: 1})
    queue = tio.Queue(dataset, 16, 4, sampler, num_workers=asked.workers)

    model = torch.nn.Sequential(
        torch.nn.Conv3d(1, 8, 3, padding=1), torch.nn.ReLU(), torch.nn.Conv3d(8, 3, 1)
    )
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    loader = DataLoader(queue, batch_size=4)
    for _ in range(3):
        for batch in loader:
            scores = model(batch["t1"][tio.DATA].float() / 255)
            targets = batch["tissues"][tio.DATA][:, 0].long()
            loss = torch.nn.functional.cross_entropy(scores, targets)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            print(f"loss {loss.item():.3f}")


if __name__ == "__main__":  # the workers import this file
    main()
