"""Exact, fast, resumable patch loading for training neural networks on 3D volumes.

The names of the classic patch-training API, made exact::

    import voxloom as tio

    queue = tio.Queue(dataset, 300, 10, tio.UniformSampler(64), num_workers=4)

Names are imported when they are first used, so ``import voxloom`` is quick.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from voxloom import adapters as adapters
    from voxloom import data as data
    from voxloom import datasets as datasets
    from voxloom import inference as inference
    from voxloom import transforms as transforms
    from voxloom._errors import EmptyProbabilityMapError as EmptyProbabilityMapError
    from voxloom._errors import VoxloomError as VoxloomError
    from voxloom.data import GridAggregator as GridAggregator
    from voxloom.data import GridSampler as GridSampler
    from voxloom.data import Image as Image
    from voxloom.data import LabelMap as LabelMap
    from voxloom.data import LabelSampler as LabelSampler
    from voxloom.data import PatchSampler as PatchSampler
    from voxloom.data import Queue as Queue
    from voxloom.data import ScalarImage as ScalarImage
    from voxloom.data import Subject as Subject
    from voxloom.data import SubjectsDataset as SubjectsDataset
    from voxloom.data import SubjectsLoader as SubjectsLoader
    from voxloom.data import UniformSampler as UniformSampler
    from voxloom.data import WeightedSampler as WeightedSampler
    from voxloom.data import sampler as sampler
    from voxloom.inference import infer as infer
    from voxloom.io import open_volume as open_volume
    from voxloom.prepared import open_prepared as open_prepared
    from voxloom.prepared import prepare as prepare
    from voxloom.subjects import AFFINE as AFFINE
    from voxloom.subjects import CHANNELS_DIMENSION as CHANNELS_DIMENSION
    from voxloom.subjects import DATA as DATA
    from voxloom.subjects import INDEX_INI as INDEX_INI
    from voxloom.subjects import INTENSITY as INTENSITY
    from voxloom.subjects import LABEL as LABEL
    from voxloom.subjects import LOCATION as LOCATION
    from voxloom.subjects import NUM_SAMPLES as NUM_SAMPLES
    from voxloom.subjects import PATH as PATH
    from voxloom.subjects import SAMPLING_MAP as SAMPLING_MAP
    from voxloom.subjects import STEM as STEM
    from voxloom.subjects import TYPE as TYPE

__version__ = "0.1.0"

_WHERE = {
    "adapters": "",
    "transforms": "",
    "data": "",
    "datasets": "",
    "inference": "",
    "sampler": "data",
    "EmptyProbabilityMapError": "_errors",
    "VoxloomError": "_errors",
    "GridAggregator": "patches",
    "GridSampler": "patches",
    "LabelSampler": "patches",
    "PatchSampler": "patches",
    "UniformSampler": "patches",
    "WeightedSampler": "patches",
    "Queue": "loading",
    "SubjectsLoader": "loading",
    "infer": "inference",
    "open_volume": "io",
    "open_prepared": "prepared",
    "prepare": "prepared",
    "Image": "subjects",
    "LabelMap": "subjects",
    "ScalarImage": "subjects",
    "Subject": "subjects",
    "SubjectsDataset": "subjects",
    "AFFINE": "subjects",
    "CHANNELS_DIMENSION": "subjects",
    "DATA": "subjects",
    "INDEX_INI": "subjects",
    "INTENSITY": "subjects",
    "LABEL": "subjects",
    "LOCATION": "subjects",
    "NUM_SAMPLES": "subjects",
    "PATH": "subjects",
    "SAMPLING_MAP": "subjects",
    "STEM": "subjects",
    "TYPE": "subjects",
}

__all__ = sorted(_WHERE)


def __getattr__(name: str) -> Any:
    try:
        where = _WHERE[name]
    except KeyError:
        hint = ""
        if name[:1].isupper():
            wrapped = f"voxloom.adapters.torchio.wrap(torchio.{name}(...))"
            hint = f"; transforms of TorchIO and MONAI are wrapped: {wrapped}"
        raise AttributeError(f"module 'voxloom' has no attribute {name!r}{hint}") from None
    module = importlib.import_module(f"voxloom.{where or name}")
    value = getattr(module, name) if where else module
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
