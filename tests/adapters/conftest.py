import numpy as np
import pytest

from voxloom import LabelMap, ScalarImage, Subject

SHAPE = (20, 24, 22)


@pytest.fixture
def subject() -> Subject:
    """Return a volume with an oblique affine, two contrasts, labels and metadata."""
    rng = np.random.default_rng(0)
    grid = np.stack(np.meshgrid(*(np.linspace(-1, 1, n) for n in SHAPE), indexing="ij"))
    radius = np.sqrt((grid**2).sum(axis=0))
    labels = (radius < 0.9).astype(np.int16) + (radius < 0.5)
    labels[2:4, 2:4, 2:4] = 1
    t1 = (labels * 100 + rng.normal(scale=5, size=SHAPE) + 20).astype(np.float32)
    affine = np.diag([1.5, 1.0, 2.0, 1.0])
    turn = np.deg2rad(10)
    affine[:2, :2] = [[1.5 * np.cos(turn), -np.sin(turn)], [1.5 * np.sin(turn), np.cos(turn)]]
    affine[:3, 3] = [-12, 7, 30]
    return Subject(
        t1=ScalarImage(tensor=t1[None], affine=affine, scanner="A"),
        t2=ScalarImage(tensor=(300 - t1)[None], affine=affine),
        seg=LabelMap(tensor=labels[None], affine=affine),
        age=42,
        site="north",
    )
