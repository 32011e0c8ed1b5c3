import pytest

from voxloom import ScalarImage
from voxloom.cli import ExitCode

NETWORK = """
import torch

class Double(torch.nn.Module):
    def forward(self, patches):
        return 2 * patches

class Two(torch.nn.Module):
    def forward(self, patches):
        return torch.cat([-patches, patches], 1)

class Many(torch.nn.Module):
    def forward(self, patches):
        scores = torch.zeros(len(patches), 300, *patches.shape[2:])
        scores[:, 299] = 1
        return scores

double = Double()
number = lambda: 3
"""


@pytest.fixture
def volume(phantoms, tmp_path, monkeypatch):
    (tmp_path / "infer_networks.py").write_text(NETWORK)
    monkeypatch.syspath_prepend(tmp_path)
    return phantoms / "phantom_000_t1.nii.gz"


@pytest.mark.parametrize("name", ["Double", "double"])
def test_a_network_or_what_makes_one_runs_over_a_volume(voxloom, volume, name):
    said = voxloom(
        *("infer", volume, "out.nii", "--model", f"infer_networks:{name}", "--patch-size", "16")
    )
    assert said.code == ExitCode.OK, said.err
    assert "(1, 32, 28, 24)" in said.out
    difference = abs(ScalarImage("out.nii").array - 2.0 * ScalarImage(volume).array)
    assert difference.max() < 0.01


def test_argmax_writes_labels(voxloom, volume):
    model = "infer_networks:Two"
    said = voxloom("infer", volume, "out.nii", "--model", model, "--patch-size", "16", "--argmax")
    assert said.code == ExitCode.OK
    labels, voxels = ScalarImage("out.nii").array, ScalarImage(volume).array
    assert labels.dtype == "uint8"
    assert (labels[abs(voxels) > 1] == (voxels > 0)[abs(voxels) > 1]).all()


def test_argmax_of_many_channels_is_no_other_label(voxloom, volume):
    model = "infer_networks:Many"
    said = voxloom("infer", volume, "out.nii", "--model", model, "--patch-size", "16", "--argmax")
    assert said.code == ExitCode.OK, said.err
    assert set(ScalarImage("out.nii").array.ravel().tolist()) == {299}


def test_the_volume_itself_is_not_overwritten(voxloom, volume, tmp_path):
    copy = tmp_path / "t1.nii.gz"
    copy.write_bytes(volume.read_bytes())
    said = voxloom("infer", "t1.nii.gz", copy, "--model", "infer_networks:double")
    assert said.code == ExitCode.USAGE
    assert "is an INPUT, and would be overwritten" in said.err
    assert copy.read_bytes() == volume.read_bytes()


@pytest.mark.parametrize(
    ("output", "sentence"),
    [("out.mha", "is .zarr, .nii or .nii.gz"), ("gone/out.nii", "there is no folder 'gone'")],
)
def test_what_cannot_be_written_is_said_before_a_network_is_made(voxloom, volume, output, sentence):
    said = voxloom("infer", volume, output, "--model", "no_such_module:network")
    assert said.code == ExitCode.USAGE
    assert sentence in said.err


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--model", "infer_networks:number"], "made 3"),
        (["--model", "infer_networks:double", "--mode", "best"], "--mode is gaussian"),
        (["--model", "infer_networks:double", "--device", "nope"], "--device 'nope' cannot be"),
    ],
)
def test_wrong_arguments_are_refused(voxloom, volume, options, sentence):
    said = voxloom("infer", volume, "out.nii", *options)
    assert said.code == ExitCode.USAGE
    assert sentence in said.err
