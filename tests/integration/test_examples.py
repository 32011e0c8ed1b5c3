"""Every example runs, with the released libraries, and prints what it promises."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from voxloom.datasets import write_phantoms

EXAMPLES = Path(__file__).parents[2] / "examples"
LEAVING = Path(__file__).parent / "scripts" / "leaving.py"


def run(script: Path, *arguments: str, launcher: tuple[str, ...] = ()) -> str:
    command = [sys.executable, *launcher, str(script), *arguments]
    settings = {**os.environ, "OMP_NUM_THREADS": "1"}
    finished = subprocess.run(
        command, capture_output=True, encoding="utf-8", timeout=110, env=settings, check=False
    )
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


def losses(output: str) -> list[float]:
    return [float(number) for number in re.findall(r"^loss ([\d.]+)$", output, re.MULTILINE)]


def test_a_plain_loop_trains() -> None:
    seen = losses(run(EXAMPLES / "train_pytorch.py", "--workers", "1"))
    assert len(seen) == 12
    assert sum(seen[-4:]) < sum(seen[:4])


def test_monai_trains_on_its_own_transforms() -> None:
    seen = losses(run(EXAMPLES / "train_monai.py"))
    assert len(seen) == 3
    assert seen[-1] < seen[0]


def test_lightning_goes_on_in_the_middle_of_an_epoch() -> None:
    output = run(EXAMPLES / "train_lightning.py")
    lines = [line for line in output.splitlines() if line.startswith("epoch")]
    steps = [(0, 0), (0, 1), (0, 2), (0, 3), (1, 0), (1, 1)]
    assert [line.partition(" [")[0] for line in lines] == [f"epoch {e} batch {b}" for e, b in steps]
    assert len(set(lines)) == len({line.partition(" [")[2] for line in lines}) == 6


def test_each_rank_has_patches_of_its_own() -> None:
    torchrun = ("-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", "29571")
    output = run(EXAMPLES / "several_gpus.py", launcher=(*torchrun, str(LEAVING)))
    for epoch in range(2):
        seen = re.findall(rf"epoch {epoch} rank \d subjects \[(.*)\]", output)
        numbers = [int(number) for line in seen for number in line.split(",")]
        assert sorted(numbers) == sorted(4 * [0, 1, 2, 3])
        assert len(seen) == 2
        assert len(seen[0]) == len(seen[1])


def test_a_stopped_epoch_goes_on_as_if_nothing_had_happened() -> None:
    said = "3 batches were left; the same as without a stop: True\n"
    assert run(EXAMPLES / "resume.py") == said


def test_a_volume_is_predicted(tmp_path: Path) -> None:
    said = "prediction.nii.gz: (100, 120, 80), 100% of the voxels as expected\n"
    assert run(EXAMPLES / "predict.py", str(tmp_path)) == said
    assert (tmp_path / "prediction.nii.gz").exists()


def test_a_script_for_torchio_differs_by_two_lines(tmp_path: Path) -> None:
    write_phantoms(tmp_path / "data", count=3, shape=(40, 44, 36))
    ours = (EXAMPLES / "from_torchio.py").read_text(encoding="utf-8")
    assert ours.count("# changed\n") == 2
    theirs = ours.replace("import voxloom as tio", "import torchio as tio")
    theirs = theirs.replace("tio.adapters.torchio.wrap(transform)", "transform")
    script = tmp_path / "torchio_script.py"
    script.write_text(theirs, encoding="utf-8")
    expected = 3 * "(4, 1, 16, 16, 16) (4, 1, 16, 16, 16) (4, 6)\n"
    assert run(EXAMPLES / "from_torchio.py", str(tmp_path / "data")) == expected
    assert run(script, str(tmp_path / "data")) == expected


@pytest.mark.parametrize("example", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.name)
def test_every_example_is_tested(example: Path) -> None:
    text = Path(__file__).read_text(encoding="utf-8")
    assert example.name in text
