"""Every exception the library raises on purpose.

    VoxloomError
    ├── GeometryError(ValueError)             an affine, spacing or shape cannot be used
    │   └── SpaceMismatchError(RuntimeError)  images of one subject do not share a space
    ├── PatchSizeError(ValueError)            not a patch size
    │   └── PatchTooLargeError(RuntimeError)  the patch does not fit in the volume
    ├── PaddingError(ValueError)              not a padding mode
    ├── SamplerError(TypeError, ValueError)   a sampler was given, or gave, what it cannot use
    ├── GridError(ValueError)                 a grid of patches was asked for what it cannot give
    ├── AggregatorError(ValueError, RuntimeError) patches cannot be joined to a volume
    ├── ProbabilityError(ValueError)          weights or label probabilities cannot be used
    ├── EmptyProbabilityMapError(RuntimeError) no patch can be drawn from the map
    ├── ImageError(TypeError, ValueError)     an image cannot be made of what was given
    ├── UnloadError(RuntimeError)             there is no file to read voxels again from
    ├── SubjectError(TypeError, ValueError)   a subject cannot be made of what was given
    ├── TransformError(ValueError)            a transform cannot be used, or gave no subject
    ├── UnknownImageError(KeyError)           the subject has no such image
    │   └── NoLabelMapError(RuntimeError)     the subject has no label map
    ├── FrozenError(TypeError, AttributeError) a frozen value was assigned to
    ├── UnknownFormatError(ValueError)        no reader claims the file
    ├── VolumeReadError(OSError)              the file is there but cannot be decoded
    │   └── VolumeNotFoundError(FileNotFoundError)
    ├── LayoutError(ValueError)               a folder or table is not laid out as it should be
    ├── SplitError(ValueError)                a data set cannot be split as asked
    ├── InferenceError(ValueError, RuntimeError) a network cannot be run over a volume
    ├── CommandError(ValueError)              the command line was given what it cannot use
    ├── DownloadError(OSError)                a data set cannot be fetched, or came broken
    ├── PreparedError(ValueError, OSError)    a data set cannot be prepared, or a store opened
    ├── MissingExtraError(ImportError)        an optional dependency is not installed
    ├── QueueError(RuntimeError)              the queue cannot go on
    │   └── PatchError                        one patch cannot be made: names the subject
    ├── QueueMemoryError(MemoryError)         the queue does not fit in memory
    └── StateError(ValueError)                a saved state belongs to another queue

Each also derives from the built-in a caller would naturally catch.
"""

from __future__ import annotations


class VoxloomError(Exception):
    """Base class of all errors raised by voxloom."""


class GeometryError(VoxloomError, ValueError):
    """An affine, spacing or shape cannot be used."""


class SpaceMismatchError(GeometryError, RuntimeError):
    """Images of one subject do not share a space."""


class PatchSizeError(VoxloomError, ValueError):
    """Not a patch size."""


class PatchTooLargeError(PatchSizeError, RuntimeError):
    """The patch does not fit in the volume."""


class PaddingError(VoxloomError, ValueError):
    """Not a padding mode."""


class SamplerError(VoxloomError, TypeError, ValueError):
    """A sampler was given, or gave, what it cannot use."""


class GridError(VoxloomError, ValueError):
    """A grid of patches was asked for what it cannot give."""


class AggregatorError(VoxloomError, ValueError, RuntimeError):
    """Patches cannot be joined to a volume."""


class ProbabilityError(VoxloomError, ValueError):
    """Weights or label probabilities cannot be used."""


class EmptyProbabilityMapError(VoxloomError, RuntimeError):
    """No patch can be drawn from the map."""


class ImageError(VoxloomError, TypeError, ValueError):
    """An image cannot be made of what was given."""


class UnloadError(VoxloomError, RuntimeError):
    """An image has nothing that could be forgotten and read again."""


class SubjectError(VoxloomError, TypeError, ValueError):
    """A subject cannot be made of what was given."""


class TransformError(VoxloomError, ValueError):
    """A transform cannot be used, or gave what is no subject."""


class UnknownImageError(VoxloomError, KeyError):
    """The subject has no such image."""

    def __str__(self) -> str:  # KeyError shows the repr of its argument
        return str(self.args[0]) if self.args else ""


class NoLabelMapError(UnknownImageError, RuntimeError):
    """The subject has no label map."""


class FrozenError(VoxloomError, TypeError, AttributeError):
    """A frozen value was assigned to."""


class UnknownFormatError(VoxloomError, ValueError, RuntimeError):
    """No reader claims the file."""


class VolumeReadError(VoxloomError, OSError, RuntimeError):
    """The file is there but cannot be decoded."""


class VolumeNotFoundError(VolumeReadError, FileNotFoundError):
    """There is no such file."""


class LayoutError(VoxloomError, ValueError):
    """A folder or table is not laid out as it should be."""


class SplitError(VoxloomError, ValueError):
    """A data set cannot be split as asked."""


class InferenceError(VoxloomError, ValueError, RuntimeError):
    """A network cannot be run over a volume."""


class CommandError(VoxloomError, ValueError):
    """The command line was given what it cannot use."""


class DownloadError(VoxloomError, OSError):
    """A data set cannot be fetched, or what came is broken."""


class PreparedError(VoxloomError, ValueError, OSError):
    """A data set cannot be prepared, or a prepared store cannot be opened."""


class MissingExtraError(VoxloomError, ImportError):
    """An optional dependency is not installed."""


class QueueError(VoxloomError, RuntimeError):
    """The queue cannot go on."""


class PatchError(QueueError):
    """One patch cannot be made; the message names subject, stage, epoch and plan index."""


class QueueMemoryError(VoxloomError, MemoryError):
    """The queue does not fit in memory."""


class StateError(VoxloomError, ValueError):
    """A saved state belongs to another queue."""
