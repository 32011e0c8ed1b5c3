"""Scripts that people already have, with `import voxloom as tio` and nothing else changed."""

import itertools
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

import voxloom as tio


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with an image, a sampling map and a label map of one space."""
    nibabel = pytest.importorskip("nibabel")
    folder = tmp_path_factory.mktemp("subject")
    rng = np.random.default_rng(0)
    sampling_map = np.zeros((40, 44, 36), dtype=np.float32)
    sampling_map[20:24, 22, 18] = 1
    labels = np.zeros((40, 44, 36), dtype=np.uint8)
    labels[10:30, 12:32, 10:26] = 1
    volumes = {"t1_mri": rng.normal(size=(40, 44, 36)).astype(np.float32)}
    volumes |= {"sampling": sampling_map, "brain": labels}
    for name, voxels in volumes.items():
        nibabel.Nifti1Image(voxels, np.eye(4)).to_filename(folder / f"{name}.nii.gz")
    return folder


def make_subject(files: Path) -> tio.Subject:
    return tio.Subject(
        t1=tio.ScalarImage(files / "t1_mri.nii.gz"),
        brain=tio.LabelMap(files / "brain.nii.gz"),
    )


def test_a_sampler_over_a_subject_with_a_sampling_map_prints_where_patches_begin(
    files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    subject = tio.Subject(
        t1=tio.ScalarImage(files / "t1_mri.nii.gz"),
        sampling_map=tio.Image(files / "sampling.nii.gz", type=tio.SAMPLING_MAP),
    )
    patch_size = 16
    sampler = tio.data.WeightedSampler(patch_size, "sampling_map")
    for patch in itertools.islice(sampler(subject), 20):
        print(patch["index_ini"])
    lines = set(capsys.readouterr().out.splitlines())
    assert lines <= {f"tensor([{i}, 14, 10])" for i in (12, 13, 14, 15)}
    assert len(lines) > 1


def test_a_label_sampler_prints_the_shape_of_its_patches(
    files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    subject = make_subject(files)
    probabilities = {0: 0.5, 1: 0.5}
    sampler = tio.data.LabelSampler(
        patch_size=16, label_name="brain", label_probabilities=probabilities
    )
    generator = sampler(subject)
    for patch in itertools.islice(generator, 3):
        print(patch.shape)
    assert capsys.readouterr().out == "(1, 16, 16, 16)\n" * 3


def test_a_number_of_patches_ends_the_generator(files: Path) -> None:
    sampler = tio.data.UniformSampler(16)
    assert len(list(sampler(make_subject(files), num_patches=10))) == 10


def test_a_queue_of_ten_subjects_trains_for_two_epochs(files: Path) -> None:
    patch_size = 16
    queue_length = 300
    samples_per_volume = 10
    sampler = tio.data.UniformSampler(patch_size)
    subjects_dataset = tio.SubjectsDataset(10 * [make_subject(files)])
    patches_queue = tio.Queue(
        subjects_dataset, queue_length, samples_per_volume, sampler, num_workers=4
    )
    patches_loader = DataLoader(patches_queue, batch_size=16)
    model = torch.nn.Identity()
    shapes = []
    for _epoch in range(2):
        for patches_batch in patches_loader:
            inputs = patches_batch["t1"][tio.DATA]
            targets = patches_batch["brain"][tio.DATA]
            logits = model(inputs)
            assert logits.shape == targets.shape
            shapes.append(tuple(inputs.shape))
    patches_queue.close()
    epoch = [(16, 1, 16, 16, 16)] * 6 + [(4, 1, 16, 16, 16)]
    assert shapes == 2 * epoch


SCRIPT = """
import voxloom as tio
from torch.utils.data import DataLoader

subject = tio.Subject(t1=tio.ScalarImage("t1_mri.nii.gz"), brain=tio.LabelMap("brain.nii.gz"))
dataset = tio.SubjectsDataset(10 * [subject])
sampler = tio.data.LabelSampler(16, "brain", {0: 0.5, 1: 0.5})
queue = tio.Queue(dataset, 300, 10, sampler, num_workers=4)
loader = DataLoader(queue, batch_size=16)
for epoch in range(2):
    print(epoch, sum(len(batch["t1"][tio.DATA]) for batch in loader))
"""


def test_a_plain_script_needs_no_main_guard_and_no_close(files: Path) -> None:
    script = files / "train.py"
    script.write_text(SCRIPT, encoding="utf-8")
    command = [sys.executable, "-W", "error", str(script)]
    run = subprocess.run(command, cwd=files, capture_output=True, encoding="utf-8", timeout=100)
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout == "0 100\n1 100\n"


def test_patches_of_a_grid_go_through_a_model_and_are_joined(files: Path) -> None:
    subject = make_subject(files)
    grid_sampler = tio.inference.GridSampler(subject, (16, 16, 12), patch_overlap=4)
    patch_loader = DataLoader(grid_sampler, batch_size=4)
    aggregator = tio.inference.GridAggregator(grid_sampler)
    model = torch.nn.Identity().eval()
    with torch.no_grad():
        for patches_batch in patch_loader:
            input_tensor = patches_batch["brain"][tio.DATA].float()
            logits = model(torch.cat([1 - input_tensor, input_tensor], dim=tio.CHANNELS_DIMENSION))
            labels = logits.argmax(dim=tio.CHANNELS_DIMENSION, keepdim=True)
            aggregator.add_batch(labels, patches_batch[tio.LOCATION])
    assert torch.equal(aggregator.get_output_tensor(), subject.brain.data.long())
