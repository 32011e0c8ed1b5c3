import json
import shutil

import pytest

from voxloom.cli import ExitCode
from voxloom.cli._bids import find_bids, is_bids
from voxloom.cli._sources import choose_dataset


@pytest.fixture
def root(phantoms, tmp_path):
    """Return a data set with sessions, several runs of bold, and three derivatives."""
    root = tmp_path / "bids"
    names = {
        "": ["T1w", "run-1_bold", "run-2_bold"],
        "derivatives/seg/": ["space-T1w_dseg"],
        "derivatives/fmriprep/": ["desc-preproc_T1w", "desc-brain_mask"],
    }
    for place, endings in names.items():
        for session in ("a", "b"):
            folder = root / f"{place}sub-01/ses-{session}/anat"
            folder.mkdir(parents=True)
            for ending in endings:
                kind = "seg" if ending.endswith(("dseg", "mask")) else "t1"
                target = folder / f"sub-01_ses-{session}_{ending}.nii.gz"
                shutil.copy(phantoms / f"phantom_000_{kind}.nii.gz", target)
        (root / place / "dataset_description.json").write_text("{}")
    (root / "derivatives" / "notes").mkdir()
    return root


def test_what_a_session_has_once_is_taken_and_the_rest_is_said(root):
    found = find_bids(root)
    assert found.images == ("T1w", "dseg")
    assert [folder.name for folder in found.derivatives] == ["seg"]
    several = "bold, of which a session has several"
    assert found.left_out == (several, "derivatives/fmriprep")
    assert is_bids(root)
    assert not is_bids(root / "derivatives" / "notes")


def test_sessions_are_subjects_with_their_images(root):
    chosen = choose_dataset(root)
    subjects = chosen.dataset.dry_iter()
    assert [subject.subject_id for subject in subjects] == ["sub-01_ses-a", "sub-01_ses-b"]
    assert [subject["dseg"].type for subject in subjects] == ["label", "label"]
    assert "as a BIDS data set: T1w (image), dseg (label map); left out: bold" in chosen.says


def test_a_session_that_lacks_an_image_is_found_by_check(voxloom, root):
    (root / "derivatives/seg/sub-01/ses-b/anat/sub-01_ses-b_space-T1w_dseg.nii.gz").unlink()
    said = voxloom("check", root, "--json")
    assert said.code == ExitCode.FOUND
    [error] = [one for one in json.loads(said.out)["findings"] if one["grade"] == "error"]
    assert (error["code"], error["image"]) == ("incomplete", "dseg")
