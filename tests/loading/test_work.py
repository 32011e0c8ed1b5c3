"""What is done to a subject begins with the subject as it was given."""

import changing

from voxloom import Queue, SubjectsDataset, UniformSampler


def test_a_transform_that_loads_images_itself_gets_them_as_they_were_given() -> None:
    """Each time: with what the last epoch left, patches would tell how often which worker came."""
    subjects = changing.make_subjects(3)
    before = [subject.t1.array.copy() for subject in subjects]
    dataset = SubjectsDataset(subjects, changing.double_in_place, load_getitem=False)
    with Queue(dataset, 3, 1, UniformSampler(8), seed=1) as queue:
        for _ in range(2):
            for patch in queue:
                assert (patch.t1.array == 2 * before[patch.number]).all()
    assert all((a.t1.array == b).all() for a, b in zip(subjects, before, strict=True))
