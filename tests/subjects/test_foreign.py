"""Transforms of other libraries that were not wrapped."""

import monai.transforms
import pytest
import torchio

from voxloom import Queue, Subject, SubjectsDataset, UniformSampler
from voxloom._errors import TransformError
from voxloom.adapters import monai as monai_adapter
from voxloom.datasets import Phantom

OURS = {
    "monai": monai.transforms.Compose([monai.transforms.ScaleIntensityd("t1")]),
    "torchio": torchio.RandomNoise(),
}


@pytest.mark.parametrize("library", OURS)
def test_a_transform_that_was_not_wrapped_is_told_how(library: str) -> None:
    subjects = [Phantom((8, 8, 8))]
    advice = rf"wrap it: SubjectsDataset\(subjects, voxloom\.adapters\.{library}\.wrap\("
    with pytest.raises(TransformError, match=advice):
        SubjectsDataset(subjects, OURS[library])
    advice = rf"wrap it: Queue\(\.\.\., patch_transform=voxloom\.adapters\.{library}\.wrap\("
    with pytest.raises(TransformError, match=advice):
        Queue(SubjectsDataset(subjects), 4, 2, UniformSampler(4), patch_transform=OURS[library])


def test_what_was_wrapped_and_classes_of_ones_own_are_taken() -> None:
    class Own(monai.transforms.Transform):
        def __call__(self, subject: Subject) -> Subject:
            return subject.replace(seen=True)

    wrapped = monai_adapter.wrap(OURS["monai"])
    for transform in (wrapped, Own(), None):
        assert len(SubjectsDataset([Phantom((8, 8, 8))], transform)) == 1
