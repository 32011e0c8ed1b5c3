"""How a data set is prepared: the choices that change what is written."""

from __future__ import annotations

from dataclasses import dataclass

from voxloom._errors import PreparedError
from voxloom.geometry import Shape3
from voxloom.patches import parse_patch_size

LAYOUTS = ("nifti", "zarr")


@dataclass(frozen=True, slots=True)
class Settings:
    """Layout and chunks of a store.

    Attributes
    ----------
    layout : {'nifti', 'zarr'}
        Format of the volumes.
    patch_size : (w, h, d) tuple of int, or None
        For the chunks; None where there are none.
    """

    layout: str
    patch_size: Shape3 | None

    @classmethod
    def of(cls, layout: str, patch_size: int | Shape3 | None) -> Settings:
        """Return the settings for a layout and the patches that will be read from it.

        Raises
        ------
        PreparedError
            If there is no such layout.
        """
        if layout not in LAYOUTS:
            raise PreparedError(f"layout is one of {LAYOUTS}, got {layout!r}")
        size = None if patch_size is None else parse_patch_size(patch_size)
        return cls(layout, size if layout == "zarr" else None)

    @property
    def suffix(self) -> str:
        """Suffix of the volumes."""
        return ".nii" if self.layout == "nifti" else ".zarr"
