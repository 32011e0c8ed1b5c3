"""Names that scripts of the field use to look into images, patches and batches."""

from typing import Final, Literal

ImageType = Literal["intensity", "label", "sampling_map"]

INTENSITY: Final = "intensity"
LABEL: Final = "label"
SAMPLING_MAP: Final = "sampling_map"

DATA: Final = "data"
AFFINE: Final = "affine"
TYPE: Final = "type"
PATH: Final = "path"
STEM: Final = "stem"

INDEX_INI: Final = "index_ini"
LOCATION: Final = "location"
NUM_SAMPLES: Final = "num_samples"

CHANNELS_DIMENSION: Final = 1  # of a batch (B, C, W, H, D)
