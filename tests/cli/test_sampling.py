import numpy as np
import pytest

from voxloom import LabelMap, ScalarImage, Subject, SubjectsDataset
from voxloom._errors import CommandError, VolumeReadError
from voxloom.cli._sampling import (
    choose_patch_size,
    choose_sampler,
    describe_sampler,
    parse_shares,
)
from voxloom.subjects import SAMPLING_MAP, CheckReport, Image

VOXELS = np.ones((1, 40, 20, 200), dtype=np.int16)
SUBJECT = Subject(
    t1=ScalarImage(tensor=VOXELS),
    seg=LabelMap(tensor=VOXELS),
    weights=Image(tensor=VOXELS, type=SAMPLING_MAP),
)


@pytest.mark.parametrize(
    ("text", "size"), [("8", (8, 8, 8)), ("8,9,10", (8, 9, 10)), ("8x9x10", (8, 9, 10))]
)
def test_a_patch_size_is_one_number_or_three(text, size):
    assert choose_patch_size(text, CheckReport((), ())) == size


@pytest.mark.parametrize("text", ["0", "8,9", "-3", "a", "", "8,9,10,11", "1.5"])
def test_other_patch_sizes_are_refused(text):
    with pytest.raises(CommandError, match="--patch-size is one number or three"):
        choose_patch_size(text, CheckReport((), ()))


def test_the_usual_size_leaves_room_for_patches_to_differ():
    assert choose_patch_size(None, SubjectsDataset([SUBJECT]).check()) == (16, 16, 96)


def test_no_readable_volume_gives_no_usual_size():
    with pytest.raises(VolumeReadError, match="no volume could be read: there is none"):
        choose_patch_size(None, CheckReport((), ()))


def test_shares_that_are_no_shares_are_a_wrong_argument():
    with pytest.raises(CommandError, match=r"--shares cannot be used: .* label 0 has -1"):
        choose_sampler("label", (8, 8, 8), SUBJECT, None, "0=-1")


@pytest.mark.parametrize(
    ("name", "image", "shares", "code"),
    [
        ("uniform", None, None, "UniformSampler(8)"),
        ("auto", None, None, "LabelSampler(8, 'seg')"),
        ("label", "t1", "0=1,1=2", "LabelSampler(8, 't1', {0: 1.0, 1: 2.0})"),
        ("weighted", None, None, "WeightedSampler(8, 'weights')"),
    ],
)
def test_samplers_are_chosen_and_described_as_code(name, image, shares, code):
    assert describe_sampler(choose_sampler(name, (8, 8, 8), SUBJECT, image, shares)) == code


def test_auto_is_uniform_without_a_label_map():
    subject = SUBJECT.without("seg")
    assert describe_sampler(choose_sampler("auto", (8, 8, 4), subject, None, None)) == (
        "UniformSampler((8, 8, 4))"
    )


@pytest.mark.parametrize(
    ("name", "image", "shares", "sentence"),
    [
        ("best", None, None, "--sampler is auto, uniform, label, weighted; got 'best'"),
        ("uniform", None, "1=1", "--shares goes with --sampler label, not with 'uniform'"),
        ("label", "nope", None, "--map names 'nope', and the images are t1, seg, weights"),
    ],
)
def test_what_does_not_go_together_is_refused(name, image, shares, sentence):
    with pytest.raises(CommandError, match=sentence):
        choose_sampler(name, (8, 8, 8), SUBJECT, image, shares)


def test_sampling_by_label_needs_a_label_map():
    subject = Subject(t1=ScalarImage(tensor=VOXELS))
    with pytest.raises(CommandError, match=r"none is marked as a label map \(--label\)"):
        choose_sampler("label", (8, 8, 8), subject, None, None)


@pytest.mark.parametrize("text", ["1", "a=1", "1=b", "1=1=1"])
def test_other_shares_are_refused(text):
    with pytest.raises(CommandError, match="--shares is LABEL=SHARE"):
        parse_shares(text)
