"""Teaching torch's own `default_collate` what a batch of subjects is."""

from __future__ import annotations

import sys
from typing import Any, Final

_MODULE: Final = "torch.utils.data._utils.collate"


def register_in_torch(kind: type) -> None:
    """Let torch's `default_collate` batch a kind of subject, so a plain DataLoader works.

    Torch is not imported for it: whoever makes a DataLoader has imported it. Called wherever
    subjects are made, so that a list of them is a data set as well.
    """
    module = sys.modules.get(_MODULE)
    known = getattr(module, "default_collate_fn_map", None)  # None while torch is being imported
    if known is not None and kind not in known:
        known[kind] = _collate_subjects


def _collate_subjects(batch: list[Any], *, collate_fn_map: Any = None) -> dict[str, Any]:
    from voxloom.subjects._collate import collate

    return collate(batch)
