"""What the page of volumes may ask, and that it gets nothing else."""

import hashlib
import http.client
import json
from urllib.parse import urlsplit
from urllib.request import urlopen

import nibabel
import numpy as np
import pytest

import voxloom as tio
from voxloom._errors import SubjectError
from voxloom.view import serve_volumes
from voxloom.view._volumes import _FOLDER, _NIIVUE, draw_boxes, encode_nifti, fold_labels


def read(address: str) -> nibabel.Nifti1Image:
    with urlopen(address) as answer:
        return nibabel.Nifti1Image.from_bytes(answer.read())


def test_volumes_arrive_as_they_are_in_place(subject: tio.Subject) -> None:
    with serve_volumes([subject], tio.UniformSampler(4)) as server:
        image = read(f"{server.address}volume?subject=0&image=t1")
        labels = read(f"{server.address}volume?subject=0&image=seg")
    assert (np.asarray(image.dataobj) == subject.t1.array[0]).all()
    assert image.affine == pytest.approx(subject.t1.affine)
    assert (np.asarray(labels.dataobj) == subject.seg.array[0]).all()


def test_boxes_are_those_of_the_sampler_with_the_seed(subject: tio.Subject) -> None:
    sampler = tio.UniformSampler((3, 4, 2))
    with serve_volumes([subject], sampler, 5, seed=3) as server:
        with urlopen(f"{server.address}patches?subject=0") as answer:
            patches = json.load(answer)
        walls = np.asarray(read(f"{server.address}boxes?subject=0").dataobj)
    expected = [patch["location"].tolist() for patch in sampler(subject, 5, rng=3)]
    assert patches["locations"] == expected
    first = np.add(expected[0][:3], (1, 2, 1))
    assert patches["centres"][0] == (subject.space.affine @ [*first, 1])[:3].tolist()
    assert (walls == draw_boxes(subject.spatial_shape, np.array(expected))).all()


def test_a_box_is_hollow_and_what_overhangs_is_left_out() -> None:
    walls = draw_boxes((6, 6, 6), np.array([[1, 1, 1, 6, 6, 6], [-2, -2, -2, 2, 2, 2]]))
    assert walls[3, 3, 3] == 0
    assert (walls == 2).sum() == 8 - 1
    assert walls[0, 0, 0] == 0


def test_walls_are_thicker_along_long_axes_but_stay_in_their_box() -> None:
    walls = draw_boxes((400, 8, 8), np.array([[10, 1, 1, 60, 7, 7], [100, 2, 2, 102, 6, 6]]))
    assert walls[:, 4, 4].nonzero()[0].tolist() == [10, 11, 12, 57, 58, 59, 100, 101]


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int16", "int32", "int64", "float64", ">i2"])
def test_every_type_becomes_one_that_browsers_read(dtype: str) -> None:
    voxels = (np.arange(24).reshape(2, 3, 4) % 2).astype(dtype)
    image = nibabel.Nifti1Image.from_bytes(encode_nifti(voxels, np.eye(4)))
    assert image.get_data_dtype().name in {"uint8", "int16", "float32"}
    assert (np.asarray(image.dataobj) == voxels).all()


def test_labels_keep_their_colour_when_they_are_folded() -> None:
    labels = np.arange(300)
    folded = fold_labels(labels)
    assert folded.max() == 28
    assert ((folded[1:] - 1) % 7 == (labels[1:] - 1) % 7).all()
    assert (folded[:29] == labels[:29]).all()


@pytest.mark.parametrize(
    ("question", "status", "says"),
    [
        ("volume?subject=0&image=../../etc/passwd", 400, "has no image"),
        ("volume?subject=1&image=t1", 400, "subjects go from 0 to 0, got '1'"),
        ("volume?image=t1", 400, "subjects go from 0 to 0, got ''"),
        ("boxes?subject=-1", 400, "subjects go from 0 to 0"),
        ("vendor/niivue.umd.js", 404, "nothing here"),
        ("volumes.js", 404, "nothing here"),
        ("../_server.py", 404, "nothing here"),
    ],
)
def test_nothing_else_is_answered(
    subject: tio.Subject, question: str, status: int, says: str
) -> None:
    with serve_volumes([subject], tio.UniformSampler(4)) as server:
        place = urlsplit(server.address)
        line = http.client.HTTPConnection("127.0.0.1", place.port or 0, timeout=10)
        line.request("GET", place.path + question)
        answer = line.getresponse()
        assert (answer.status, says in answer.read().decode()) == (status, True)
        line.request("GET", "/wrong/" + question)
        assert line.getresponse().status == 403


def test_a_number_of_patches_that_cannot_be_shown_is_an_error(subject: tio.Subject) -> None:
    with pytest.raises(SubjectError, match="1 to 64 patches can be shown, got 65"):
        serve_volumes([subject], tio.UniformSampler(4), 65)
    with pytest.raises(SubjectError, match="there is no subject to show"):
        serve_volumes([])


def test_niivue_is_the_published_file() -> None:
    told = (_FOLDER / "vendor" / "README.md").read_text(encoding="utf-8")
    assert hashlib.sha256(_NIIVUE.read_bytes()).hexdigest() in told
