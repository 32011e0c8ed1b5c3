import json
from collections import Counter

import numpy as np
import pytest

from voxloom import LabelMap, LabelSampler, ScalarImage, Subject
from voxloom.cli import ExitCode, _preview
from voxloom.cli._preview import draw_locations, spread_over
from voxloom.cli._sources import choose_dataset

pytest.importorskip("matplotlib")


def test_a_report_shows_subjects_places_and_patches(voxloom, phantoms, tmp_path):
    said = voxloom(
        *("preview", phantoms, "--subjects", 2, "--patches", 30, "--mosaic", 4),
        *("--patch-size", "8", "--shares", "1=1,4=1", "--json"),
    )
    assert said.code == ExitCode.OK
    result = json.loads(said.out)
    assert result["sampler"] == "LabelSampler(8, 'seg', {1: 1.0, 4: 1.0})"
    assert set(result["centres"]) == {"1", "4"}
    assert sum(result["centres"].values()) == 2 * 30
    page = (tmp_path / "preview.html").read_text()
    assert page.count("<img") == 2 * 2 + 1
    assert "phantom_000" in page
    assert "phantom_002" in page


def test_a_label_that_is_asked_for_and_on_no_centre_is_shown(voxloom, phantoms, tmp_path):
    asked = "preview", phantoms, "--subjects", 1, "--patch-size", "8", "--shares", "1=1,99=1,98=0"
    said = voxloom(*asked)
    assert said.code == ExitCode.OK
    assert "centres 100% on 1, 0% on 99\n" in said.out
    assert "<td>99</td><td>0</td><td>0.0%</td>" in (tmp_path / "preview.html").read_text()
    result = json.loads(voxloom(*asked, "--json").out)
    assert result["centres"] == {"1": 300, "99": 0}


def test_channels_that_are_asked_for_are_counted_as_the_labels_that_are_shown():
    channels = np.zeros((3, 12, 12, 12), np.uint8)
    channels[0], channels[1, 6:] = 1, 1
    seg = LabelMap(tensor=channels)
    subject = Subject(t1=ScalarImage(tensor=np.ones((1, 12, 12, 12))), seg=seg)
    sampler = LabelSampler(4, "seg", {1: 1, 2: 1})
    counts, _ = _preview._look_at([subject], sampler, 20, 1, 0)
    assert counts == {"2": 20, "3": 0}


def test_labels_are_listed_by_their_numbers() -> None:
    counts = Counter({"10": 1, "9": 2, "-1": 3, "0": 4})
    assert [label for label, _ in _preview._by_label(counts)] == ["-1", "0", "9", "10"]


@pytest.mark.parametrize("output", ["file/report.html", "file"])
def test_a_place_that_cannot_be_written_is_said_before_anything_is_drawn(
    voxloom, phantoms, tmp_path, monkeypatch, output
):
    (tmp_path / "file").touch()
    monkeypatch.setattr(_preview, "_look_at", None)  # calling it would be unexpected
    said = voxloom("preview", phantoms, "--output", output)
    assert (said.code, said.out) == (ExitCode.USAGE, "")
    assert "--output is a folder, and 'file' is a file" in said.err


def test_another_kind_of_file_is_refused_unless_it_is_a_folder(voxloom, phantoms, tmp_path):
    said = voxloom("preview", phantoms, "-o", "page.pdf")
    assert (said.code, said.out) == (ExitCode.USAGE, "")
    assert "--output is a .html file or a folder, got 'page.pdf'" in said.err
    assert not (tmp_path / "page.pdf").exists()
    (tmp_path / "ann.data").mkdir()
    assert voxloom("preview", phantoms, "--subjects", 1, "-o", "ann.data").code == ExitCode.OK


def test_a_seed_below_zero_is_a_wrong_argument(voxloom, phantoms):
    said = voxloom("preview", phantoms, "--seed", "-1")
    assert said.code == ExitCode.USAGE
    assert "'--seed'" in said.err


def test_the_same_seed_draws_the_same_centres(phantoms):
    subject = choose_dataset(phantoms).dataset[0]
    sampler = LabelSampler(8, "seg")
    first, again, other = (draw_locations(subject, sampler, 20, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    assert (first[:, 3:] - first[:, :3] == 8).all()


@pytest.mark.parametrize(("count", "wanted"), [(1, 4), (7, 3), (100, 4), (3, 3)])
def test_subjects_are_spread_over_the_data_set(count, wanted):
    chosen = spread_over(count, wanted)
    assert len(chosen) == min(count, wanted)
    assert chosen[0] == 0
    assert set(chosen) <= set(range(count))
    assert wanted == 1 or chosen[-1] == count - 1


def test_a_patch_that_does_not_fit_says_so(voxloom, phantoms):
    said = voxloom("preview", phantoms, "--patch-size", "64")
    assert said.code == ExitCode.FAILED
    assert "does not fit in subject 'phantom_000'" in said.err


def test_centres_are_counted_in_the_map_that_was_sampled(voxloom, tmp_path):
    voxels = np.zeros((1, 12, 12, 12), dtype=np.uint8)
    LabelMap(tensor=voxels).save(tmp_path / "ann_mask.nii")
    voxels[:, 6, 6, 6] = 7
    LabelMap(tensor=voxels).save(tmp_path / "ann_roi.nii")
    ScalarImage(tensor=voxels + 1).save(tmp_path / "ann_t1.nii")
    said = voxloom("preview", ".", "--map", "roi", "--patch-size", 4, "--patches", 5, "--json")
    assert said.code == ExitCode.OK, said.err
    assert json.loads(said.out)["centres"] == {"7": 5}
