import pytest

from voxloom.io._lengths import millimetres_in


@pytest.mark.parametrize(
    ("unit", "millimetres"),
    [("Micrometre", 1e-3), ("µm", 1e-3), ("meter", 1000.0), ("inch", 25.4), ("pixel", 1.0)],
)
def test_names_of_lengths_are_known_however_they_are_spelt(unit: str, millimetres: float) -> None:
    assert millimetres_in(unit) == pytest.approx(millimetres)
