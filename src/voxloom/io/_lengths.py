"""Names of lengths, as formats write them, in millimetres."""

from __future__ import annotations

from typing import Final

_METRES: Final = {
    "m": 1.0,
    "meter": 1.0,
    "cm": 1e-2,
    "centimeter": 1e-2,
    "mm": 1e-3,
    "millimeter": 1e-3,
    "um": 1e-6,
    "µm": 1e-6,
    "μm": 1e-6,
    "\\u00b5m": 1e-6,
    "micron": 1e-6,
    "microns": 1e-6,
    "micrometer": 1e-6,
    "nm": 1e-9,
    "nanometer": 1e-9,
    "angstrom": 1e-10,
    "å": 1e-10,
    "pm": 1e-12,
    "picometer": 1e-12,
    "inch": 0.0254,
    "in": 0.0254,
    "foot": 0.3048,
    "decimeter": 0.1,
    "kilometer": 1e3,
}


def millimetres_in(unit: str | None) -> float:
    """Return the length of one unit in mm; 1 where it is not named or not a known length.

    Examples
    --------
    >>> millimetres_in("micrometer"), millimetres_in("mm"), millimetres_in(None)
    (0.001, 1.0, 1.0)
    """
    if not isinstance(unit, str):
        return 1.0
    metres = _METRES.get(unit.strip().lower().replace("metre", "meter"))
    return 1.0 if metres is None else metres * 1000
