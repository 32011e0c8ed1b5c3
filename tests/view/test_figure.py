import subprocess
import sys

import pytest

from voxloom import view
from voxloom._errors import MissingExtraError


def test_plots_leave_pyplot_alone() -> None:
    code = (
        "import io, sys, voxloom.view as view; view.plot_curve([1.0]).savefig(io.BytesIO());"
        "print('matplotlib.pyplot' in sys.modules, 'torch' in sys.modules)"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True
    )
    assert run.stdout == "False False\n"


def test_its_absence_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'voxloom\[plot\]'"):
        view.plot_curve([1.0])
