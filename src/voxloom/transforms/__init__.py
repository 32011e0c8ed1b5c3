"""What patch training cannot do without: few pure functions of a subject, exact in their affines.

Give their settings with `functools.partial`, and join them with `chain`::

    from functools import partial
    from voxloom import SubjectsDataset
    from voxloom.transforms import canonical, chain, resample, z_score

    transform = chain(canonical, partial(resample, target=1.0), partial(z_score, mask="brain"))
    dataset = SubjectsDataset(subjects, transform)

For anything more, MONAI's and TorchIO's transforms work here too: see `voxloom.adapters`.
"""

from voxloom.transforms._chain import Chain, chain
from voxloom.transforms._crop_or_pad import crop_or_pad
from voxloom.transforms._intensity import rescale_percentiles, window, z_score
from voxloom.transforms._orientation import canonical
from voxloom.transforms._resampling import resample

__all__ = [
    "Chain",
    "canonical",
    "chain",
    "crop_or_pad",
    "resample",
    "rescale_percentiles",
    "window",
    "z_score",
]
