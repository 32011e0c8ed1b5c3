"""Data sets in BIDS."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from voxloom import SubjectsDataset
from voxloom._errors import LayoutError, VolumeNotFoundError

Write = Callable[..., Path]


@pytest.fixture
def root(volume: Write, tmp_path: Path) -> Path:
    base = tmp_path / "b i d s"
    for place in (base, base / "derivatives" / "seg"):
        place.mkdir(parents=True)
        (place / "dataset_description.json").write_text("{}")
    for session in ("pre", "post"):
        stem = f"sub-01/ses-{session}/anat/sub-01_ses-{session}"
        volume(f"b i d s/{stem}_T1w.nii.gz", 1)
        volume(f"b i d s/derivatives/seg/{stem}_space-T1w_dseg.nii.gz", 3)
    volume("b i d s/sub-02/anat/sub-02_T1w.nii.gz", 2)
    volume("b i d s/sub-02/anat/sub-02_run-1_T2w.nii.gz")
    volume("b i d s/sub-02/anat/sub-02_run-02_T2w.nii.gz", 9)
    volume("b i d s/sourcedata/sub-03/anat/sub-03_T1w.nii.gz")
    (base / "participants.tsv").write_text(
        "participant_id\tage\tsex\nsub-01\t34\tn/a\nsub-02\t7.5\tF\n"
    )
    return base


def test_each_session_is_a_subject_with_what_is_known_about_the_participant(root: Path) -> None:
    subjects = SubjectsDataset.from_bids(root, t1="T1w").dry_iter()
    assert [s.subject_id for s in subjects] == ["sub-01_ses-post", "sub-01_ses-pre", "sub-02"]
    assert [s.age for s in subjects] == [34, 34, 7.5]
    assert (subjects[0].subject, subjects[0].session, subjects[0].sex) == ("01", "post", None)
    assert "session" not in subjects[2]


def test_derivatives_are_looked_into_when_named(root: Path) -> None:
    def read(derivatives: Any) -> SubjectsDataset:
        return SubjectsDataset.from_bids(
            root, t1="T1w", seg="dseg", labels=["seg"], derivatives=derivatives, missing="skip"
        )

    for derivatives in ("seg", [root / "derivatives" / "seg"]):
        dataset = read(derivatives)
        assert len(dataset) == 2
        assert (dataset[0].seg.type, int(dataset[0].seg.data.max())) == ("label", 3)
    with pytest.raises(VolumeNotFoundError, match=r"no participant in .* has the files asked for"):
        read(())


def test_one_of_several_files_is_chosen_by_its_entities(root: Path) -> None:
    with pytest.raises(LayoutError, match=r"several files of sub-02 .*They differ in \['run'\]"):
        SubjectsDataset.from_bids(root, t2="T2w", missing="skip")
    query = {"suffix": "T2w", "run": 2}
    subject = SubjectsDataset.from_bids(root, t2=query, missing="skip")[0]
    assert int(subject.t2.data.max()) == 9


def test_a_missing_file_is_an_error_or_a_gap(root: Path) -> None:
    query = {"suffix": "T2w", "run": 2}
    with pytest.raises(VolumeNotFoundError, match=r"sub-01_ses-post has no 't2'"):
        SubjectsDataset.from_bids(root, t1="T1w", t2=query)
    omitted = SubjectsDataset.from_bids(root, t1="T1w", t2=query, missing="omit")
    assert ["t2" in subject for subject in omitted.dry_iter()] == [False, False, True]


def test_what_was_not_fetched_is_missing_and_its_link_is_named(root: Path) -> None:
    lost = root / "sub-03" / "anat" / "sub-03_T1w.nii.gz"
    lost.parent.mkdir(parents=True)
    lost.symlink_to("../../.git/annex/objects/key")
    with pytest.raises(VolumeNotFoundError, match=r"sub-03 has no 't1' .*link to '\S*objects/key'"):
        SubjectsDataset.from_bids(root, t1="T1w")
    for missing in ("skip", "omit"):
        found = SubjectsDataset.from_bids(root, t1="T1w", missing=missing).dry_iter()
        assert [s.subject for s in found] == ["01", "01", "02"]


def test_names_that_bids_does_not_allow_are_read_in_either_spelling(
    root: Path, volume: Write
) -> None:
    volume("b i d s/sub-Jose\u0301 A/anat/sub-Jos\u00e9 A_acq-\u00fc_T1w.NII.GZ", 8)
    with (root / "participants.tsv").open("a", encoding="utf-8") as table:
        table.write("sub-Jos\u00e9 A\t50\tM\n")
    query = {"suffix": "T1w", "acquisition": "u\u0308"}
    [subject] = SubjectsDataset.from_bids(root, t1=query, missing="skip")
    assert (subject.subject_id, subject.age) == ("sub-Jos\u00e9 A", 50)
    assert int(subject.t1.data.max()) == 8


def test_a_page_beside_the_folder_of_its_participant_is_no_participant(root: Path) -> None:
    (root / "sub-01.html").touch()
    (root / "sub-02" / "ses-notes.txt").touch()
    assert len(SubjectsDataset.from_bids(root, t1="T1w")) == 3


def test_what_is_not_there_is_told_with_what_is(root: Path) -> None:
    for missing in ("raise", "skip"):
        with pytest.raises(VolumeNotFoundError, match=r"its volumes have the suffixes T1w, T2w"):
            SubjectsDataset.from_bids(root, t1="t1w", missing=missing)
    with pytest.raises(VolumeNotFoundError, match=r"no folder .*fmriprep.*has \['seg'\]"):
        SubjectsDataset.from_bids(root, t1="T1w", derivatives="fmriprep")


def test_two_formats_of_one_volume_are_told_apart(root: Path, volume: Write) -> None:
    volume("b i d s/sub-02/anat/sub-02_T1w.nii")
    with pytest.raises(LayoutError, match=r"They differ in \['extension'\]"):
        SubjectsDataset.from_bids(root, t1="T1w")
    assert len(SubjectsDataset.from_bids(root, t1={"suffix": "T1w", "extension": ".nii.gz"})) == 3


def test_what_is_wrong_with_the_table_of_participants_is_said(root: Path) -> None:
    table = root / "participants.tsv"
    table.write_text("participant_id\tshape\nsub-01\t3\n")
    with pytest.raises(LayoutError, match=r"participants\.tsv, sub-01_.*anything called 'shape'"):
        SubjectsDataset.from_bids(root, t1="T1w")
    table.write_bytes("participant_id\tname\nsub-01\tJos\u00e9\n".encode("latin-1"))
    with pytest.raises(LayoutError, match=r"participants\.tsv is not a table in UTF-8"):
        SubjectsDataset.from_bids(root, t1="T1w")


def test_sidecars_are_inherited_and_the_nearest_has_the_last_word(root: Path) -> None:
    (root / "T1w.json").write_text(json.dumps({"EchoTime": 1, "RepetitionTime": 5}))
    (root / "task-rest_bold.json").write_text(json.dumps({"EchoTime": 3}))
    near = root / "sub-02" / "anat" / "sub-02_T1w.json"
    near.write_text(json.dumps({"EchoTime": 2}))
    subjects = SubjectsDataset.from_bids(root, t1="T1w", sidecars=True).dry_iter()
    assert subjects[0].t1["sidecar"] == {"EchoTime": 1, "RepetitionTime": 5}
    assert subjects[2].t1["sidecar"] == {"EchoTime": 2, "RepetitionTime": 5}
    near.write_text("{")
    with pytest.raises(LayoutError, match=r"sub-02_T1w\.json does not hold a JSON object"):
        SubjectsDataset.from_bids(root, t1="T1w", sidecars=True)


def test_folders_that_are_no_data_sets_are_refused(root: Path, tmp_path: Path) -> None:
    with pytest.raises(LayoutError, match=r"has no dataset_description\.json"):
        SubjectsDataset.from_bids(tmp_path, t1="T1w")
    with pytest.raises(LayoutError, match=r"say which images to take"):
        SubjectsDataset.from_bids(root)
    with pytest.raises(LayoutError, match=r"labels \['seg'\]"):
        SubjectsDataset.from_bids(root, t1="T1w", labels=["seg"])


def test_rows_of_sessions_are_for_their_sessions(root: Path) -> None:
    rows = "participant_id\tsession_id\tage\nsub-01\tses-pre\t34\n"
    rows += "sub-01\tses-post\t36\nsub-02\t\t7\n"
    (root / "participants.tsv").write_text(rows)
    subjects = SubjectsDataset.from_bids(root, t1="T1w").dry_iter()
    assert {s.subject_id: s.age for s in subjects} == {
        "sub-01_ses-post": 36,
        "sub-01_ses-pre": 34,
        "sub-02": 7,
    }
    (root / "participants.tsv").write_text("participant_id\tage\nsub-01\t34\nsub-01\t36\n")
    with pytest.raises(LayoutError, match="has several rows for participant '01'; give each a"):
        SubjectsDataset.from_bids(root, t1="T1w")
