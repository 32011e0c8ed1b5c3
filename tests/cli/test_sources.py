import json
import pickle
from pathlib import Path

import numpy as np
import pytest

from voxloom._errors import CommandError, LayoutError
from voxloom.cli._sources import choose_dataset, load_callable, load_object, make_folder
from voxloom.datasets import write_phantoms
from voxloom.io import write_zarr
from voxloom.prepared import prepare
from voxloom.subjects import LABEL, SubjectsDataset


def types_of(dataset: SubjectsDataset) -> dict[str, str]:
    images = dataset.dry_iter()[0].get_images_dict(intensity_only=False)
    return {name: image.type for name, image in images.items()}


def test_a_plain_folder_is_understood_and_said(phantoms):
    chosen = choose_dataset(phantoms)
    assert types_of(chosen.dataset) == {"t1": "intensity", "seg": "label"}
    assert [one.subject_id for one in chosen.dataset.dry_iter()] == [
        f"phantom_00{n}" for n in range(3)
    ]
    assert "seg (label map): 3 subjects" in chosen.says


def test_labels_can_be_named_instead_of_guessed(phantoms):
    assert types_of(choose_dataset(phantoms, labels=["t1"]).dataset) == {
        "seg": "intensity",
        "t1": "label",
    }


def test_patterns_give_the_same_subjects(phantoms):
    glob = [f"t1={phantoms}/{{subject}}_t1.nii.gz", f"seg={phantoms}/{{subject}}_seg.nii.gz"]
    chosen = choose_dataset(glob=glob)
    assert types_of(chosen.dataset) == {"t1": "intensity", "seg": LABEL}
    assert len(chosen.dataset) == 3


def test_a_table_says_its_columns(phantoms, tmp_path):
    table = tmp_path / "all.csv"
    table.write_text(f"subject,t1\nann,{phantoms}/phantom_000_t1.nii.gz\n")
    assert types_of(choose_dataset(table, images=["t1"]).dataset) == {"t1": "intensity"}
    with pytest.raises(CommandError, match="name the columns that hold paths, with --image"):
        choose_dataset(csv=table)


@pytest.mark.parametrize(
    ("given", "error", "sentence"),
    [
        ({"labels": ["segg"]}, CommandError, "no segg for .*; its columns are case, t1, seg"),
        ({"images": ["t1"], "labels": ["t1"]}, CommandError, "t1 is given as --image and as"),
        ({}, CommandError, "with --image and --label; its columns are case, t1, seg"),
        ({"images": ["t1"]}, LayoutError, "call the column of ids subject_id or .* are case, t1"),
    ],
)
def test_columns_that_cannot_be_used_are_named_with_those_there_are(
    tmp_path, given, error, sentence
):
    table = tmp_path / "all.csv"
    table.write_text("case,t1,seg\nann,t1.nii.gz,seg.nii.gz\n")
    with pytest.raises(error, match=sentence):
        choose_dataset(csv=table, **given)


def test_a_folder_with_a_description_is_read_as_it_says(tmp_path):
    write_phantoms(tmp_path, 1, (8, 8, 8))
    image, label = "./phantom_000_t1.nii.gz", "./phantom_000_seg.nii.gz"
    content = {"training": [{"image": image, "label": label}]}
    (tmp_path / "dataset.json").write_text(json.dumps(content))
    chosen = choose_dataset(tmp_path)
    assert types_of(chosen.dataset) == {"image": "intensity", "label": "label"}
    assert "Decathlon" in chosen.says


def test_a_broken_description_is_not_passed_over(tmp_path):
    write_phantoms(tmp_path, 1, (8, 8, 8))
    (tmp_path / "dataset.json").write_text('{"labels":\n{,}')
    with pytest.raises(LayoutError, match=r"dataset\.json is not JSON: .* line 2 .* --glob"):
        choose_dataset(tmp_path)


def test_a_folder_with_one_data_set_is_that_data_set(tmp_path):
    write_phantoms(tmp_path / "Dataset001_A", 2, (12, 12, 12))
    one = {"image": "phantom_000_t1.nii.gz", "label": "phantom_000_seg.nii.gz"}
    content = {"channel_names": {"0": "T1"}, "training": [one]}
    (tmp_path / "Dataset001_A" / "dataset.json").write_text(json.dumps(content))
    for chosen in (choose_dataset(tmp_path), choose_dataset(msd=tmp_path)):
        assert chosen.says == f"Read {tmp_path}/Dataset001_A as a Decathlon data set: 1 subject"
    (tmp_path / "Dataset002_B").mkdir()
    with pytest.raises(CommandError, match=r"several folders; give one .*/Dataset001_A$"):
        choose_dataset(tmp_path)


def test_a_zarr_folder_is_one_volume(tmp_path):
    write_zarr(tmp_path / "seg.ome.zarr", np.zeros((1, 4, 4, 4), np.uint8))
    chosen = choose_dataset(tmp_path / "seg.ome.zarr")
    assert types_of(chosen.dataset) == {"seg": "label"}
    assert chosen.dataset[0]["seg"].shape == (1, 4, 4, 4)


def test_a_guess_that_tells_no_images_apart_says_what_to_do(tmp_path):
    for name in ("one", "two"):
        (tmp_path / f"{name}.nii").touch()
    advice = f"; if several files are one subject, say so with --glob 't1={tmp_path}/{{subject}}"
    assert f": 2 subjects{advice}_t1.nii.gz'" in choose_dataset(tmp_path).says
    assert "--glob" not in choose_dataset(tmp_path, labels=["image"]).says


def test_a_folder_that_nnunet_prepared_is_known(tmp_path):
    blosc2 = pytest.importorskip("blosc2")
    folder = tmp_path / "nnUNetPlans_3d_fullres"
    folder.mkdir()
    for name in ("a.b2nd", "a_seg.b2nd"):
        blosc2.asarray(np.zeros((1, 4, 4, 4), np.float32), urlpath=str(folder / name))
    (tmp_path / "nnUNetPlans.json").write_text(json.dumps({"transpose_forward": [0, 1, 2]}))
    properties = {
        "spacing": [1.0, 1.0, 1.0],
        "bbox_used_for_cropping": [[0, 4]] * 3,
        "shape_after_cropping_and_before_resampling": (4, 4, 4),
    }
    (folder / "a.pkl").write_bytes(pickle.dumps(properties))
    chosen = choose_dataset(folder)
    assert types_of(chosen.dataset) == {"image": "intensity", "label": "label"}
    assert "nnU-Net's layout: 1 subject" in chosen.says


def test_a_prepared_store_is_known(phantoms, tmp_path):
    prepare(choose_dataset(phantoms).dataset, tmp_path / "store")
    chosen = choose_dataset(tmp_path / "store")
    assert "prepared store: 3 subjects" in chosen.says


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({}, "is expected, got none"),
        ({"source": Path("a"), "msd": Path("b")}, "is expected, got DATA and --msd"),
        ({"glob": ["t1"]}, "--glob is NAME=PATTERN"),
        ({"glob": ["3d=a"]}, "--glob is NAME=PATTERN"),
        ({"glob": ["a={s}"], "labels": ["b"]}, "--label names b; images are a"),
        ({"glob": ["a=t1.nii"]}, "--glob: every pattern has the same fields in braces"),
        ({"glob": ["a={s}", "a={s}_x"]}, "--glob names 'a' twice, '{s}' and '{s}_x'; rename one"),
    ],
)
def test_sources_that_cannot_be_used_are_refused(given, sentence):
    with pytest.raises(CommandError, match=sentence):
        choose_dataset(**given)


def test_columns_of_a_folder_are_refused(phantoms):
    with pytest.raises(CommandError, match="--image names columns of a table"):
        choose_dataset(phantoms, images=["t1"])


def test_one_file_is_a_subject(phantoms):
    chosen = choose_dataset(phantoms / "phantom_000_seg.nii.gz")
    assert types_of(chosen.dataset) == {"phantom_000_seg": "label"}


def test_what_is_known_is_not_named_again(phantoms, tmp_path):
    prepare(choose_dataset(phantoms).dataset, tmp_path / "store")
    with pytest.raises(CommandError, match=r"--label cannot be given for .*store"):
        choose_dataset(tmp_path / "store", labels=["t1"])
    with pytest.raises(CommandError, match="--image and --label cannot be given for --msd"):
        choose_dataset(msd=tmp_path, images=["t1"], labels=["t1"])


def test_a_folder_to_write_is_made_or_refused_at_once(tmp_path):
    make_folder(tmp_path / "a" / "b")
    assert list((tmp_path / "a" / "b").iterdir()) == []
    (tmp_path / "file").touch()
    with pytest.raises(CommandError, match=r"--output is a folder, and .*file' is a file"):
        make_folder(tmp_path / "file")
    with pytest.raises(NotADirectoryError, match="file/b"):
        make_folder(tmp_path / "file" / "b")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("math", "--model is MODULE:NAME"),
        (":x", "--model is MODULE:NAME"),
        (".relative:x", "--model is MODULE:NAME"),
        ("not_there:x", "there is no module 'not_there'"),
        ("math:not_there", "module 'math' has no 'not_there'"),
    ],
)
def test_names_that_lead_nowhere_are_refused(text, sentence):
    with pytest.raises(CommandError, match=sentence):
        load_object(text, "--model")


def test_modules_of_the_current_folder_are_found(tmp_path, monkeypatch):
    (tmp_path / "module_found_here.py").write_text("def double(x): return 2 * x\nnumber = 3\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [])
    double = load_callable("module_found_here:double", "--transform")
    assert double is not None
    assert double(4) == 8
    with pytest.raises(CommandError, match="--transform names something to call"):
        load_callable("module_found_here:number", "--transform")


def test_a_module_that_fails_inside_is_not_called_missing(tmp_path, monkeypatch):
    (tmp_path / "module_that_fails.py").write_text("import not_there_at_all\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="not_there_at_all"):
        load_object("module_that_fails:x", "--model")


def test_a_module_that_ends_the_program_is_named(tmp_path, monkeypatch):
    (tmp_path / "ends_the_program.py").write_text("import sys\nsys.exit(7)\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(CommandError, match=r"'ends_the_program' ends the program .*__main__"):
        load_object("ends_the_program:f", "--transform")
