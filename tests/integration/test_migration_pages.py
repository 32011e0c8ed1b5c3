"""The code of the migration pages runs against the released libraries."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from voxloom.datasets import write_phantoms

PAGES = sorted((Path(__file__).parents[2] / "docs" / "migration").glob("*.md"))
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def lay_out_as_nnunet(folder: Path) -> None:
    raw = folder / "nnUNet_raw" / "Dataset001_Phantom"
    prepared = folder / "nnUNet_preprocessed" / "Dataset001_Phantom"
    for place in (raw / "imagesTr", raw / "labelsTr", prepared):
        place.mkdir(parents=True)
    cases = [f"phantom_{number:03d}" for number in range(3)]
    for case in cases:
        (raw / "imagesTr" / f"{case}_0000.nii.gz").symlink_to(folder / f"data/{case}_t1.nii.gz")
        (raw / "labelsTr" / f"{case}.nii.gz").symlink_to(folder / f"data/{case}_seg.nii.gz")
    content = {"channel_names": {"0": "T1"}, "file_ending": ".nii.gz", "numTraining": 3}
    (raw / "dataset.json").write_text(json.dumps(content), encoding="utf-8")
    folds = [{"train": cases[:2], "val": cases[2:]}]
    (prepared / "splits_final.json").write_text(json.dumps(folds), encoding="utf-8")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_code_of_a_page_runs(page: Path, tmp_path: Path) -> None:
    write_phantoms(tmp_path / "data", count=3, shape=(40, 44, 36))
    lay_out_as_nnunet(tmp_path)
    blocks = BLOCK.findall(page.read_text(encoding="utf-8"))
    assert blocks
    script = tmp_path / "page.py"
    script.write_text("\n".join(blocks), encoding="utf-8")
    command = [sys.executable, str(script)]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, encoding="utf-8", timeout=110)
    assert run.returncode == 0, run.stderr


def test_there_is_a_page_for_each_library() -> None:
    assert [page.stem for page in PAGES] == ["monai", "nnunet", "torchio"]
