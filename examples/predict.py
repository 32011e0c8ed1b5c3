"""Run a network over a whole volume, patch by patch, and save what it says."""

import sys
import tempfile
from pathlib import Path

import torch

import voxloom as tio
from voxloom.inference import infer


class BrightTissue(torch.nn.Module):
    """Stands for a trained network: two scores, of what is dark and of what is bright."""

    def forward(self, patches: torch.Tensor) -> torch.Tensor:
        """Return scores ``(B, 2, w, h, d)`` of patches ``(B, 1, w, h, d)``."""
        return torch.cat([100 - patches, patches - 100], dim=1)


def main(folder: Path) -> None:
    """Predict the middle of the template and write it as NIfTI."""
    subject = tio.Subject(t1=tio.datasets.MNI152().t1[50:150, 60:180, 60:140])
    scores = infer(BrightTissue(), subject, patch_size=48, overlap=0.25, batch_size=4)
    labels = tio.LabelMap(tensor=scores.data.argmax(0, keepdim=True).byte(), affine=scores.affine)
    path = folder / "prediction.nii.gz"
    labels.save(path)
    agree = (labels.array == (subject.t1.array > 100)).mean()
    print(f"{path.name}: {labels.spatial_shape}, {agree:.0%} of the voxels as expected")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp()))
