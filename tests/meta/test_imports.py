"""What importing costs, and where other libraries may come in."""

import ast
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "voxloom"
MODULES = sorted(SOURCE.rglob("*.py"))

SLOW = "torch nibabel matplotlib scipy pandas monai torchio nilearn pooch tqdm zarr SimpleITK"
OPTIONAL = {
    *("blosc2", "h5py", "lightning", "matplotlib", "monai", "nilearn", "pooch", "ray"),
    *(
        "obstore",
        "rich",
        "SimpleITK",
        "tensorstore",
        "tifffile",
        "torchio",
        "tqdm",
        "typer",
        "zarr",
    ),
}
IMPORTERS = {"import_extra", "import_module", "__import__"}


@pytest.mark.parametrize(
    "package",
    ["voxloom", "voxloom.io", "voxloom.subjects", "voxloom.patches", "voxloom.datasets"],
)
def test_importing_it_brings_in_nothing_slow(package: str) -> None:
    code = f"import sys, {package}; print(*sorted(set({SLOW.split()}) & sys.modules.keys()))"
    said = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True
    )
    assert said.stdout.strip() == ""


def libraries(path: Path) -> set[str]:
    """Return the first names of all that a module imports, but for type checkers."""
    names: set[str] = set()
    for node in _run(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
        elif isinstance(node, ast.Call) and _called(node) in IMPORTERS and node.args:
            given = node.args[0]
            names |= {given.value} if isinstance(given, ast.Constant) else set()
    return {str(name).split(".")[0] for name in names}


def _run(tree: ast.AST) -> Iterator[ast.AST]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        yield node
        yield from _run(node)


def _called(node: ast.Call) -> str:
    return ast.unparse(node.func).rsplit(".", 1)[-1]


def test_an_optional_library_is_imported_in_one_file_only() -> None:
    places = defaultdict(list)
    for path in MODULES:
        for library in libraries(path) & OPTIONAL:
            places[library].append(path.relative_to(SOURCE).as_posix())
    assert places["pooch"] == ["datasets/_cache.py"]
    assert {library: files for library, files in places.items() if len(files) > 1} == {}


def test_imports_are_seen_in_every_form(tmp_path: Path) -> None:
    module = tmp_path / "module.py"
    module.write_text(
        "import a.b\nfrom c import d\nif TYPE_CHECKING:\n    import hidden\n"
        "def f():\n    import e\n    importlib.import_module('g.h')\n    import_extra('i', 'x')\n"
    )
    assert libraries(module) == {"a", "c", "e", "g", "i"}
