"""Data sets of subjects."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from os import PathLike
from typing import Any, Self

from voxloom._errors import SubjectError
from voxloom._upstairs import call_by_name
from voxloom.subjects._check import check_subjects, three_sizes
from voxloom.subjects._check_report import CheckReport
from voxloom.subjects._collate import split_batch, teach_default_collate
from voxloom.subjects._copies import lazy_copy, load_copy
from voxloom.subjects._foreign import check_not_foreign
from voxloom.subjects._layout_bids import read_bids
from voxloom.subjects._layout_glob import read_glob
from voxloom.subjects._layout_msd import read_msd
from voxloom.subjects._layout_nnunet import read_nnunet
from voxloom.subjects._layout_table import Table, read_table, types_of, write_table
from voxloom.subjects._listed import listed
from voxloom.subjects._split import fold_shares, split_indices
from voxloom.subjects._subject import Subject, as_subject

Transform = Callable[[Subject], Subject]


class SubjectsDataset:
    """Subjects that are loaded and transformed when they are asked for.

    A map-style data set for `torch.utils.data.DataLoader` and for `Queue`. The subjects
    given are never changed, and nothing is kept loaded.

    Parameters
    ----------
    subjects : iterable of Subject
        The subjects, in order; or a torch Subset of them, as `random_split` gives.
    transform : callable, optional
        Takes the loaded subject and returns a subject.
    load_getitem : bool
        Whether ``dataset[i]`` decodes all images.
    cache : path, optional
        Folder for decoded volumes. See `set_cache`.
    cache_limit : int, optional
        The most bytes that it may take.

    Raises
    ------
    SubjectError
        A ValueError and TypeError, if there are no subjects or something else is among them.
    PreparedError
        A ValueError and OSError, if no cache can be kept in the folder.

    Examples
    --------
    >>> import numpy as np
    >>> from voxloom.subjects import ScalarImage
    >>> image = ScalarImage(tensor=np.ones((1, 2, 2, 2), dtype=np.float32))
    >>> dataset = SubjectsDataset([Subject(t1=image)], lambda s: s.replace(seen=True))
    >>> len(dataset), dataset[0].seen
    (1, True)
    """

    def __init__(
        self,
        subjects: Iterable[Subject],
        transform: Transform | None = None,
        load_getitem: bool = True,
        *,
        cache: str | PathLike[str] | None = None,
        cache_limit: int | None = None,
    ) -> None:
        self._subjects = tuple(listed(subjects))
        self.set_transform(transform)
        self.load_getitem = load_getitem
        self.set_cache(cache, cache_limit)

    @classmethod
    def from_batch(cls, batch: Mapping[str, Any]) -> Self:
        """Return the subjects or patches of a batch that a DataLoader made, as a data set.

        Voxels share the memory of the batch. A SubjectError is raised where it has no images.

        Examples
        --------
        >>> import numpy as np
        >>> from voxloom.subjects import ScalarImage, collate
        >>> image = ScalarImage(tensor=np.ones((1, 2, 2, 2), dtype=np.float32))
        >>> SubjectsDataset.from_batch(collate([Subject(t1=image)] * 4))[3].t1.shape
        (1, 2, 2, 2)
        """
        return cls(split_batch(batch))

    @classmethod
    def from_msd(
        cls,
        path: str | PathLike[str],
        section: str = "training",
        transform: Transform | None = None,
    ) -> Self:
        """Return a data set in the layout of the Medical Segmentation Decathlon.

        Each subject has ``image`` and, where the description names one, ``label``, which may
        be a number, or several, for the whole volume; its ``subject_id`` is the name of the
        file without its suffix. Several channels are the fourth axis of one file, or a list of
        files. ``image['channel_names']`` are the modalities.

        Parameters
        ----------
        path : path
            The ``dataset.json``, or its folder.
        section : str
            Which list of it: ``'training'``, ``'test'``, or one of your own.
        transform : callable, optional
            As for the class.

        Raises
        ------
        VolumeNotFoundError
            If a file that it names is not there.
        LayoutError
            If the description is not one.

        Examples
        --------
        >>> import numpy as np
        >>> import json, pathlib, tempfile
        >>> from voxloom.io import write_nifti
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = write_nifti(f"{folder}/case_7.nii", np.zeros((4, 4, 4), dtype=np.int16))
        ...     content = {"training": [{"image": "./case_7.nii"}]}
        ...     size = pathlib.Path(folder, "dataset.json").write_text(json.dumps(content))
        ...     SubjectsDataset.from_msd(folder).dry_iter()[0].subject_id
        'case_7'
        """
        return cls(read_msd(path, section), transform)

    @classmethod
    def from_nnunet(
        cls,
        path: str | PathLike[str],
        section: str = "Tr",
        transform: Transform | None = None,
    ) -> Self:
        """Return a data set in the raw layout of nnU-Net v2.

        Each subject has ``image``, whose channels are the files ``CASE_0000``, ``CASE_0001``
        and so on, in the order of ``channel_names``, and ``label``, which may be missing in
        ``imagesTs``; its ``subject_id`` is the case.

        The folder of a preprocessed configuration, ``nnUNet_preprocessed/Dataset042_Liver/
        nnUNetPlans_3d_fullres``, is read as well, by region from its ``.b2nd`` files: normalised
        intensities, axes as nnU-Net turns them, label -1 outside its mask. The affines say where
        the voxels lie. Its pickles are read only as far as they are containers, numbers and
        arrays; anything else in them is an error, and nothing is run.

        Parameters
        ----------
        path : path
            A folder such as ``Dataset042_Liver``, or its ``dataset.json``.
        section : {'Tr', 'Ts'}
            Training or test.
        transform : callable, optional
            As for the class.

        Raises
        ------
        VolumeNotFoundError
            If a file is not there.
        LayoutError
            If files are named otherwise, or a case has other channels than were named.

        Examples
        --------
        >>> SubjectsDataset.from_nnunet("Dataset042_Liver", section="training")
        Traceback (most recent call last):
        voxloom._errors.LayoutError: section is 'Tr' (training) or 'Ts' (test), got 'training'
        """
        return cls(read_nnunet(path, section), transform)

    @classmethod
    def from_bids(
        cls,
        root: str | PathLike[str],
        *,
        labels: Collection[str] = (),
        derivatives: str | PathLike[str] | Sequence[str | PathLike[str]] = (),
        missing: str = "raise",
        sidecars: bool = False,
        transform: Transform | None = None,
        **images: Any,
    ) -> Self:
        """Return a data set in the Brain Imaging Data Structure: a subject for each session.

        ``subject_id`` is ``'sub-01'`` or ``'sub-01_ses-02'``; ``subject``, ``session`` and
        the columns of ``participants.tsv`` become metadata.

        Parameters
        ----------
        root : path
            The folder with ``dataset_description.json``.
        labels : collection of str
            Which of the images are label maps.
        derivatives : path or paths
            Names of folders in ``derivatives``, or paths, to look into as well.
        missing : {'raise', 'skip', 'omit'}
            A session without one of the files is an error, is left out, or lacks the image. A
            link whose file was not fetched, by DataLad for instance, is no file.
        sidecars : bool
            Whether ``image['sidecar']`` holds what JSON files say about it, inherited from
            the folders above.
        transform : callable, optional
            As for the class.
        **images
            For each image its suffix, ``t1='T1w'``, or entities by short or long name,
            ``bold={'suffix': 'bold', 'task': 'rest', 'run': 1}``. A list stands for any of
            its values, None for names without that entity.

        Raises
        ------
        VolumeNotFoundError
            If a file is not there.
        LayoutError
            If several files could be the image, or the folder is not a data set.

        Examples
        --------
        >>> SubjectsDataset.from_bids("bids", t1={"suffix": "T1w", "colour": "red"})
        Traceback (most recent call last):
        voxloom._errors.VolumeNotFoundError: there is no BIDS folder 'bids'; check the path
        """
        several = [derivatives] if isinstance(derivatives, str | PathLike) else derivatives
        subjects = read_bids(
            root, images, labels, derivatives=several, missing=missing, sidecars=sidecars
        )
        return cls(subjects, transform)

    @classmethod
    def from_csv(
        cls,
        table: Table,
        images: Collection[str] = (),
        labels: Collection[str] = (),
        sampling_maps: Collection[str] = (),
        *,
        subject_id: str | None = None,
        missing: str = "raise",
        transform: Transform | None = None,
    ) -> Self:
        """Return a data set from a table with a row for each subject.

        Columns of images hold paths, relative to the table; several channels are a JSON list
        of paths. All other columns become metadata: a cell that is JSON is what JSON says.
        A column may say its type itself: ``t1:intensity``, ``seg:label``, as `to_csv` writes.

        Parameters
        ----------
        table : path, data frame or rows
            ``.csv``, also with semicolons, or ``.tsv`` in UTF-8, a pandas data frame, or mappings.
        images, labels, sampling_maps : collections of str
            Columns that hold paths, by the type of the image.
        subject_id : str, optional
            Column of the id; by default ``subject_id``, ``participant_id``, ``subject`` or
            ``id``.
        missing : {'raise', 'skip', 'omit'}
            A row whose file is not there is an error, is left out, or lacks the image.
        transform : callable, optional
            As for the class.

        Raises
        ------
        VolumeNotFoundError
            If a file is not there.
        LayoutError
            If the table lacks a column, or ids are not unique.

        Examples
        --------
        >>> SubjectsDataset.from_csv([{"id": 1, "t1": "a.nii"}], images=["t1"])
        Traceback (most recent call last):
        voxloom._errors.VolumeNotFoundError: the table, row 1 (1): there is no 't1', expected at \
a.nii; give missing='skip' or missing='omit' if that is as it should be
        """
        types = types_of(intensity=images, label=labels, sampling_map=sampling_maps)
        return cls(read_table(table, types, subject_id, missing), transform)

    @classmethod
    def from_glob(
        cls,
        *,
        labels: Collection[str] = (),
        missing: str = "raise",
        transform: Transform | None = None,
        **patterns: str | PathLike[str],
    ) -> Self:
        """Return a data set of the files that follow patterns.

        ``{subject}``, and any other name in braces, stands for a part of the path that is the
        same for all images of one subject, and becomes metadata; ``*``, ``?`` and ``**`` are
        as in a shell. ``subject_id`` is the subject, joined with all other names.

        Parameters
        ----------
        labels : collection of str
            Which of the images are label maps.
        missing : {'raise', 'skip', 'omit'}
            A subject without one of the files is an error, is left out, or lacks the image.
        transform : callable, optional
            As for the class.
        **patterns
            For each image a pattern: ``t1='data/{subject}/t1.nii.gz'``.

        Raises
        ------
        VolumeNotFoundError
            If a file is not there.
        LayoutError
            If two files fit one place, or the patterns have different names in braces.

        Examples
        --------
        >>> import numpy as np
        >>> import tempfile
        >>> from voxloom.io import write_nifti
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = write_nifti(f"{folder}/ann_t1.nii", np.zeros((4, 4, 4), dtype=np.int16))
        ...     dataset = SubjectsDataset.from_glob(t1=f"{folder}/{{subject}}_t1.nii")
        >>> dataset.dry_iter()[0].subject
        'ann'
        """
        return cls(read_glob(patterns, labels, missing), transform)

    def to_csv(self, path: str | PathLike[str]) -> None:
        """Write paths and metadata as a table that `from_csv` reads without more arguments.

        Paths below the folder of the table are written relative to it.

        Raises
        ------
        LayoutError
            If an image is in memory only, or metadata do not fit into a cell.
        """
        write_table(self._subjects, path)

    def split(
        self,
        shares: Sequence[float],
        *,
        seed: int = 0,
        group: str | None = None,
        stratify: str | None = None,
    ) -> tuple[SubjectsDataset, ...]:
        """Return parts of the data set, such as training, validation and test.

        Which subject goes where follows from the seed and the ``subject_id`` (or the group),
        not from the order of the subjects, which is kept within each part.

        Parameters
        ----------
        shares : sequence of float
            How large the parts are, relative to each other.
        seed : int
            Another seed gives another split.
        group : str, optional
            Subjects with the same value of this item stay together, e.g. visits of one
            person, or a hospital.
        stratify : str, optional
            Each part gets its share of each value of this item.

        Raises
        ------
        SplitError
            A ValueError, if an item is missing, ids are not unique, or a part stays empty.

        Examples
        --------
        >>> import numpy as np
        >>> from voxloom.subjects import ScalarImage
        >>> image = ScalarImage(tensor=np.ones((1, 2, 2, 2), dtype=np.float32))
        >>> dataset = SubjectsDataset([Subject(t1=image, subject_id=n) for n in range(10)])
        >>> [len(part) for part in dataset.split([0.7, 0.1, 0.2])]
        [7, 1, 2]
        """
        parts = split_indices(self._subjects, shares, seed, group, stratify)
        return tuple(self._taken(part) for part in parts)

    def folds(
        self,
        count: int,
        *,
        seed: int = 0,
        group: str | None = None,
        stratify: str | None = None,
    ) -> tuple[tuple[SubjectsDataset, SubjectsDataset], ...]:
        """Return `count` pairs of training and validation; each subject is validated on once.

        Parameters and errors are those of `split`.

        Examples
        --------
        >>> import numpy as np
        >>> from voxloom.subjects import ScalarImage
        >>> image = ScalarImage(tensor=np.ones((1, 2, 2, 2), dtype=np.float32))
        >>> dataset = SubjectsDataset([Subject(t1=image, subject_id=n) for n in range(10)])
        >>> [(len(train), len(validation)) for train, validation in dataset.folds(4)]
        [(7, 3), (7, 3), (8, 2), (8, 2)]
        """
        parts = split_indices(self._subjects, fold_shares(count), seed, group, stratify)
        everyone = set(range(len(self)))
        return tuple(
            (self._taken(sorted(everyone.difference(part))), self._taken(part)) for part in parts
        )

    def check(
        self,
        *,
        labels: bool | Collection[int] = False,
        patch_size: Any = None,
        threads: int | None = None,
    ) -> CheckReport:
        """Read all headers, several at a time, and report what they say and what is wrong.

        An error is what would stop a training: a file that is missing or cut short, images of
        a subject that lie apart, items that only some subjects have. The transform is not
        applied.

        Parameters
        ----------
        labels : bool or collection of int
            Whether to decode the label maps and count the voxels of each label; or the labels
            that they may have, others being errors.
        patch_size : int or three int, optional
            Volumes smaller than this are errors.
        threads : int, optional
            How many headers are read at a time.

        Returns
        -------
        CheckReport
            ``report.ok``, ``report.rows``, ``report.findings``, ``report.as_dict()``;
            ``print(report)`` shows a summary.

        Examples
        --------
        >>> import numpy as np
        >>> from voxloom.subjects import ScalarImage
        >>> image = ScalarImage(tensor=np.ones((1, 2, 2, 2), dtype=np.float32))
        >>> SubjectsDataset([Subject(t1=image, subject_id="ann")]).check(patch_size=4).ok
        False
        """
        size = None if patch_size is None else three_sizes(patch_size)
        return check_subjects(self._subjects, labels=labels, patch_size=size, threads=threads)

    def set_transform(self, transform: Transform | None) -> None:
        """Set the callable that is applied to each loaded subject."""
        if transform is not None and not callable(transform):
            raise SubjectError(f"a transform is callable, got {type(transform).__name__}")
        check_not_foreign(transform, "SubjectsDataset(subjects, {})")
        self._transform = transform

    @property
    def transform(self) -> Transform | None:
        """The callable that is applied to each loaded subject."""
        return self._transform

    def set_cache(self, folder: str | PathLike[str] | None, limit: int | None = None) -> None:
        """Keep decoded volumes in a folder, so that each is decoded once.

        Images that cannot be read by region, such as ``.nii.gz``, are written there when they
        are first decoded, as `voxloom.prepare` would write them; from then on only the voxels
        of a patch are read, and label maps bring their sampling index. With a transform, which
        takes whole volumes, they are read whole, and the transform runs each time: what may be
        random is never kept. To keep what a deterministic transform gives, use `prepare`.

        Files are told by their bytes. Any number of processes may use one folder, and what is
        cached never changes a patch or their order.

        Parameters
        ----------
        folder : path or None
            Where to; made if it is not there. None for no cache.
        limit : int, optional
            The most bytes that volumes may take in it. What is needed again last leaves first.

        Raises
        ------
        PreparedError
            A ValueError and OSError, if the folder cannot be written. Where the disk is full
            later, a warning is logged and training goes on without.
        """
        if folder is None and limit is not None:
            raise SubjectError("cache_limit is for a cache; give its folder too, cache=...")
        self._cache = folder if folder is None else _open_cache(folder, limit)

    @property
    def has_cache(self) -> bool:
        """Whether decoded volumes are kept in a folder."""
        return self._cache is not None

    @property
    def cache_limit(self) -> int | None:
        """The most bytes that the cache may take; None where there is no limit or no cache."""
        limit: int | None = None if self._cache is None else self._cache.folder.limit
        return limit

    def peek(
        self, index: int, visits_ahead: int | None = None, names: Sequence[str] | None = None
    ) -> Subject:
        """Return a subject without its transform, read from the cache where there is one.

        Parameters
        ----------
        index : int
            Its number.
        visits_ahead : int, optional
            How many subjects will be asked for until it is again, for the cache; by default
            all others.
        names : sequence of str, optional
            The images that are wanted; the others are left out.
        """
        subject = self._subjects[self._checked_index(index)]
        if names is not None:
            subject = subject.without(*set(subject.get_images_names()).difference(names))
        if self._cache is None:
            return subject
        cached: Subject = self._cache.through(
            subject,
            as_decoded=self._transform is not None,
            visits_ahead=len(self) if visits_ahead is None else visits_ahead,
        )
        return cached

    def is_current(self, index: int, subject: Subject, visits_ahead: int | None = None) -> bool:
        """Tell whether `peek` with these arguments would give `subject`, which it gave before.

        If so, that counts as a visit for the cache. Without a cache it is never so.
        """
        ahead = len(self) if visits_ahead is None else visits_ahead
        given, as_decoded = self._subjects[index], self._transform is not None
        return self._cache is not None and self._cache.is_current(
            given, subject, as_decoded=as_decoded, visits_ahead=ahead
        )

    def dry_iter(self) -> Sequence[Subject]:
        """Return the subjects as they were given, without reading anything."""
        return self._subjects

    def __len__(self) -> int:
        return len(self._subjects)

    def __getitem__(self, index: Any) -> Subject:
        teach_default_collate()
        if self.load_getitem:
            subject = load_copy(self.peek(index))
        else:
            subject = lazy_copy(self._subjects[self._checked_index(index)])
        if self._transform is None:
            return subject
        return as_subject(self._transform(subject), "the transform of the data set")

    def __iter__(self) -> Iterator[Subject]:
        return (self[index] for index in range(len(self)))

    def __add__(self, other: Any) -> Any:
        from torch.utils.data import ConcatDataset

        both: list[Any] = [self, other]
        return ConcatDataset(both)

    def __repr__(self) -> str:
        return f"SubjectsDataset({len(self)} subjects, transform={self._transform!r})"

    def _taken(self, numbers: Sequence[int]) -> SubjectsDataset:
        taken = [self._subjects[number] for number in numbers]
        part = SubjectsDataset(taken, self._transform, self.load_getitem)
        part._cache = self._cache
        return part

    def _checked_index(self, index: Any) -> int:
        try:
            number = int(index)
        except (TypeError, ValueError, RuntimeError):
            raise SubjectError(f"a subject is asked for by its number, got {index!r}") from None
        if not -len(self) <= number < len(self):
            raise IndexError(f"the data set has {len(self)} subjects, there is no {number}")
        return number


def _open_cache(folder: str | PathLike[str], limit: int | None) -> Any:
    return call_by_name("voxloom.prepared._cache", "open_cache", folder, limit)
