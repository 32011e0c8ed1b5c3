"""The names that scripts of the field use with ``import voxloom as tio``."""

import importlib
import pickle
import subprocess
import sys
from typing import Any

import pytest

import voxloom
import voxloom as tio
from voxloom import _errors

CLASSES = [
    *("Image", "ScalarImage", "LabelMap", "Subject", "SubjectsDataset", "SubjectsLoader", "Queue"),
    *("UniformSampler", "WeightedSampler", "LabelSampler", "GridSampler", "GridAggregator"),
]
ERRORS = [value for value in vars(_errors).values() if isinstance(value, type)]


@pytest.mark.parametrize("name", [*CLASSES, "PatchSampler"])
def test_classes_are_found_at_the_top_and_under_data(name: str) -> None:
    assert getattr(tio, name) is getattr(tio.data, name)
    assert getattr(tio, name).__name__ == name


@pytest.mark.parametrize(
    ("module", "names"),
    [
        ("voxloom.data.sampler", ["UniformSampler", "WeightedSampler", "LabelSampler"]),
        ("voxloom.data.inference", ["GridSampler", "GridAggregator"]),
        ("voxloom.data.queue", ["Queue"]),
        ("voxloom.inference", ["GridSampler", "GridAggregator"]),
    ],
)
def test_classes_are_found_where_scripts_of_the_field_import_them(
    module: str, names: list[str]
) -> None:
    found = importlib.import_module(module)
    assert [getattr(found, name) for name in names] == [getattr(tio, name) for name in names]
    assert tio.sampler is tio.data.sampler


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATA", "data"),
        ("AFFINE", "affine"),
        ("PATH", "path"),
        ("STEM", "stem"),
        ("TYPE", "type"),
        ("LOCATION", "location"),
        ("INTENSITY", "intensity"),
        ("LABEL", "label"),
        ("SAMPLING_MAP", "sampling_map"),
    ],
)
def test_constants_have_the_values_of_the_field(name: str, value: str) -> None:
    assert getattr(tio, name) == value


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'voxloom' has no attribute 'RandomAffine'"):
        _ = tio.RandomAffine


def test_a_star_brings_every_public_name() -> None:
    names: dict[str, Any] = {}
    exec("from voxloom import *", names)
    assert set(voxloom.__all__) <= set(names)


def test_a_subject_is_made_without_torch() -> None:
    code = """
import sys, numpy, voxloom as tio
image = tio.ScalarImage(tensor=numpy.zeros((1, 4, 5, 6)))
print(tio.Subject(t1=image)[1:3].spatial_shape, "torch" in sys.modules)
"""
    said = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True
    )
    assert said.stdout.strip() == "(2, 5, 6) False"


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.__name__)
def test_errors_share_a_base_and_derive_from_what_a_caller_would_catch(
    error: type[Exception],
) -> None:
    assert issubclass(error, voxloom.VoxloomError)
    builtins = [kind for kind in error.__mro__ if kind.__module__ == "builtins"]
    assert error is voxloom.VoxloomError or builtins[0] is not Exception
    assert error.__name__ in str(_errors.__doc__)


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.__name__)
def test_errors_reach_another_process_with_their_message(error: type[Exception]) -> None:
    sent = pickle.loads(pickle.dumps(error("what came")))
    assert type(sent) is error
    assert str(sent) == "what came"
