"""The public names: listed, sorted, there, and explained."""

import importlib
from pathlib import Path

import pytest

import voxloom

SOURCE = Path(voxloom.__file__).parent
PACKAGES = ["voxloom", *(f"voxloom.{p.parent.name}" for p in sorted(SOURCE.glob("*/__init__.py")))]
FACADE = [p.stem for p in SOURCE.glob("*.py") if not p.stem.startswith("_")]
PUBLIC = [*PACKAGES, *(f"voxloom.{stem}" for stem in FACADE)]


def constants_then_classes_then_functions(name: str) -> tuple[int, str]:
    return (0 if name.isupper() else 1 if name[0].isupper() else 2), name


@pytest.mark.parametrize("package", PUBLIC)
def test_public_names_are_listed_in_order(package: str) -> None:
    names = list(getattr(importlib.import_module(package), "__all__", []))
    assert names in (sorted(names), sorted(names, key=constants_then_classes_then_functions))
    assert not any(name.startswith("_") for name in names if name != "__version__")


@pytest.mark.parametrize("package", PUBLIC)
def test_public_names_exist_and_what_can_be_called_says_what_it_does(package: str) -> None:
    module = importlib.import_module(package)
    assert module.__doc__
    silent = [
        name
        for name in getattr(module, "__all__", [])
        if callable(value := getattr(module, name))
        and getattr(value, "__module__", "").startswith("voxloom")
        and not value.__doc__
    ]
    assert silent == []


@pytest.mark.parametrize("package", PUBLIC)
def test_dir_shows_every_public_name(package: str) -> None:
    module = importlib.import_module(package)
    assert set(getattr(module, "__all__", [])) <= set(dir(module))
