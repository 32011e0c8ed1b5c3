import ast
import importlib.util
from pathlib import Path

import numpy as np
import pytest

import voxloom as tio
from voxloom._errors import MissingExtraError
from voxloom._upstairs import call_by_name, draw, show

SOURCE = Path(tio.__file__).parent
ABOVE = {"view", "cli", "testing", "adapters", "data"}  # these may import it, or stand beside it


def test_what_is_called_is_the_function_of_that_name() -> None:
    pytest.importorskip("matplotlib")
    for call in (show, draw):
        assert call("plot_curve", [2.0, 1.0], name="loss").axes[0].get_ylabel() == "loss"


def test_a_missing_library_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    import_module = importlib.import_module

    def without_matplotlib(name: str, package: str | None = None) -> object:
        if name.startswith("matplotlib"):
            raise ModuleNotFoundError(f"No module named {name!r}", name="matplotlib")
        return import_module(name, package)

    monkeypatch.setattr("voxloom._extras.importlib.import_module", without_matplotlib)
    image = tio.ScalarImage(tensor=np.ones((1, 4, 4, 4)))
    for item in (image, tio.Subject(t1=image)):
        with pytest.raises(MissingExtraError, match=r"pip install 'voxloom\[plot\]'"):
            item.plot()


def test_a_picture_is_written_and_given_as_scripts_ask_for_it(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    image = tio.ScalarImage(tensor=np.ones((1, 4, 4, 4)))
    for item in (image, tio.Subject(t1=image)):
        path = tmp_path / f"{type(item).__name__}.png"
        assert item.plot(output_path=path, show=False, return_fig=False) is None
        assert path.read_bytes().startswith(b"\x89PNG")
        figure = item.plot(return_fig=True, figsize=(4, 3))
        assert (len(figure.axes), *figure.get_size_inches()) == (3, 4, 3)
        with pytest.warns(UserWarning, match=r"show=True opens no window: .*output_path"):
            item.plot(show=True)


def test_no_other_module_below_reaches_for_the_layer_of_pictures() -> None:
    found = [
        path.relative_to(SOURCE).as_posix()
        for path in sorted(SOURCE.rglob("*.py"))
        if path.relative_to(SOURCE).parts[0] not in ABOVE and "voxloom.view" in names(path)
    ]
    assert found == ["_upstairs.py"]


def names(path: Path) -> set[str]:
    """Return all modules that are imported when code runs, and all texts that are no docstrings."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    checked = {
        id(node)
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and "TYPE_CHECKING" in ast.unparse(block.test)
        for node in ast.walk(block)
    }
    nodes = [node for node in ast.walk(tree) if id(node) not in checked]
    imported = {one.name for node in nodes if isinstance(node, ast.Import) for one in node.names}
    imported |= {str(node.module) for node in nodes if isinstance(node, ast.ImportFrom)}
    texts = {str(node.value) for node in nodes if isinstance(node, ast.Constant)}
    modules = {".".join(name.split(".")[:2]) for name in imported}
    return modules | {text for text in texts if "\n" not in text and " " not in text}


def test_a_function_is_found_by_its_name_and_given_all_arguments() -> None:
    assert call_by_name("builtins", "int", "ff", base=16) == 255


def test_a_name_that_is_not_there_is_said() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        call_by_name("math", "nothing")
