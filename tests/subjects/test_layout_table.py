"""Tables of subjects."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from voxloom import Image, LabelMap, ScalarImage, Subject, SubjectsDataset
from voxloom._errors import LayoutError, VolumeNotFoundError

Write = Callable[..., Path]


def test_what_is_written_is_read_back(volume: Write, tmp_path: Path) -> None:
    files = [volume(f"d a/{name}.nii") for name in ("t1", "t2", "seg", "map")]
    first = Subject(
        subject_id="01",
        t1=ScalarImage(files[0]),
        seg=LabelMap(files[2]),
        age=41,
        site="Troms\u00f8",
    )
    second = Subject(
        subject_id="2",
        t1=ScalarImage(files[:2]),
        seg=LabelMap(files[2]),
        likely=Image(files[3], type="sampling_map"),
        weights=[1.5, 2],
    )
    table = tmp_path / "subjects.csv"
    SubjectsDataset([first, second]).to_csv(table)
    assert str(tmp_path) not in table.read_text(encoding="utf-8")
    read = SubjectsDataset.from_csv(table, missing="omit").dry_iter()
    assert [subject.subject_id for subject in read] == ["01", "2"]
    assert (read[0].age, read[0].site, read[0].weights) == (41, "Troms\u00f8", None)
    assert read[1].t1["path"] == [str(file) for file in files[:2]]
    assert (read[1].seg.type, read[1].likely.type) == ("label", "sampling_map")
    assert "likely" not in read[0]


def test_columns_are_named_where_the_table_does_not_say(volume: Write, tmp_path: Path) -> None:
    volume("a/t1.NII.gz", 3)
    volume("a/seg.nii", 1)
    table = tmp_path / "people.tsv"
    table.write_text("participant_id\tt1\tseg\tage\nsub-01\ta/t1.nii.gz\ta/seg.nii\t41.5\n")
    subject = SubjectsDataset.from_csv(table, images=["t1"], labels=["seg"])[0]
    assert (subject.subject_id, subject.age, subject.seg.type) == ("sub-01", 41.5, "label")
    assert int(subject.t1.data.max()) == 3


def test_rows_and_data_frames_are_tables(volume: Write) -> None:
    row: dict[str, Any] = {"id": 7, "t1": volume("t1.nii"), "age": 3}

    class Frame:
        def to_dict(self, how: str) -> list[dict[str, Any]]:
            assert how == "records"
            return [row]

    for table in ([row], Frame()):
        subject = SubjectsDataset.from_csv(table, images=["t1"]).dry_iter()[0]
        assert (subject.subject_id, subject.age) == ("7", 3)


@pytest.mark.parametrize(
    ("text", "arguments", "message"),
    [
        ("id,t1\n1,a.nii\n", {}, r"say which hold paths of images"),
        ("id,t1\n1,a.nii\n", {"images": ["t2"]}, r"no columns \['t2'\]; it has \['id', 't1'\]"),
        ("name,t1\n1,a.nii\n", {"images": ["t1"]}, r"for the id of the subject.*subject_id="),
        ("id,t1\n,a.nii\n", {"images": ["t1"]}, r"row 1: the column 'id' is empty"),
        ("id,t1\n", {"images": ["t1"]}, r"has no rows"),
        ("id,t1\n1,a.nii,3\n", {"images": ["t1"]}, r"row 1 has more or fewer cells"),
        ("id,t1\n1,a.nii\n1,a.nii\n", {"images": ["t1"]}, r"the subject id '1' is there twice"),
        ("id,t1,keys\n1,a.nii,2\n", {"images": ["t1"]}, r"row 1 \(1\): .*anything called 'keys'"),
    ],
)
def test_what_is_wrong_with_a_table_is_said(
    volume: Write, tmp_path: Path, text: str, arguments: dict[str, Any], message: str
) -> None:
    volume("a.nii")
    (tmp_path / "table.csv").write_text(text)
    with pytest.raises(LayoutError, match=message):
        SubjectsDataset.from_csv(tmp_path / "table.csv", **arguments)


def test_missing_files_and_tables_are_named(volume: Write, tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    with pytest.raises(VolumeNotFoundError, match=r"there is no table '.*table\.csv'"):
        SubjectsDataset.from_csv(table)
    volume("a.nii")
    table.write_text("id,t1\n1,a.nii\n2,b.nii\n3,\n")
    with pytest.raises(VolumeNotFoundError, match=r"row 2 \(2\): there is no 't1', expected at"):
        SubjectsDataset.from_csv(table, images=["t1"])
    assert len(SubjectsDataset.from_csv(table, images=["t1"], missing="skip")) == 1


def test_a_link_that_leads_nowhere_is_a_missing_file(volume: Write, tmp_path: Path) -> None:
    volume("a.nii")
    (tmp_path / "b.nii").symlink_to("/annex/key")
    table = tmp_path / "table.csv"
    table.write_text("id,t1\n1,a.nii\n2,b.nii\n")
    with pytest.raises(VolumeNotFoundError, match=r"row 2 \(2\).*link to '/annex/key'"):
        SubjectsDataset.from_csv(table, images=["t1"])
    assert len(SubjectsDataset.from_csv(table, images=["t1"], missing="skip")) == 1


def test_an_image_in_memory_has_no_place_in_a_table(tmp_path: Path) -> None:
    image = ScalarImage(tensor=np.zeros((1, 2, 2, 2), dtype=np.float32))
    with pytest.raises(LayoutError, match=r"image 't1' of subject 'a' is in memory"):
        SubjectsDataset([Subject(t1=image, subject_id="a")]).to_csv(tmp_path / "t.csv")
