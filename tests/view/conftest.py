import warnings
from collections.abc import Iterator

import numpy as np
import pytest

import voxloom as tio

pytest.importorskip("matplotlib")


@pytest.fixture(autouse=True)
def no_warnings_of_matplotlib() -> Iterator[None]:
    """A layout that does not fit is a warning, and so an error here."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


@pytest.fixture
def subject() -> tio.Subject:
    """A volume whose axes run to the left, the front and the head, 2 x 1 x 3 mm."""
    affine = np.diag([-2.0, 1.0, 3.0, 1.0])
    voxels = np.arange(10 * 12 * 8, dtype=np.float32).reshape(1, 10, 12, 8)
    labels = np.zeros((1, 10, 12, 8), dtype=np.uint8)
    labels[0, 6:9, 3:5, 2] = 1
    labels[0, 6:9, 5:7, 2] = 2
    return tio.Subject(
        t1=tio.ScalarImage(tensor=voxels, affine=affine),
        seg=tio.LabelMap(tensor=labels, affine=affine),
    )
