"""The folder of a cache: entries that appear whole, and leave when room is needed.

Every change is made under one lock, but for the writing of voxels; an entry is a folder that is
renamed into its place. Whoever writes holds a lock on its unfinished file, so that what a killed
process left behind is known, and removed.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from threading import get_ident
from typing import Any, Final, final

from voxloom.prepared._cache_entry import VOXELS, UnfinishedEntry
from voxloom.prepared._store import read_record
from voxloom.prepared._write import RECORD, checksums

# Where there is none, what was left unfinished stays.
fcntl: Final[Any] = import_module("fcntl") if find_spec("fcntl") else None

INDEX: Final = "index.npz"
_RESERVE_BYTES: Final = 256 << 20
_BOOT: Final = Path("/proc/sys/kernel/random/boot_id")


@final
@dataclass(frozen=True, slots=True)
class CacheFolder:
    """Where entries lie.

    Attributes
    ----------
    root : Path
        The folder; it is there.
    limit : int or None
        The most bytes that its entries may take.
    """

    root: Path
    limit: int | None

    def find(self, key: str) -> tuple[Path, dict[str, Any]] | None:
        """Return the place of a whole entry and its record, or None."""
        place = self._place(key)
        record = read_record(place)
        if record is None:
            return None
        if record.get("boot") != _boot():  # it may have been cut off by a loss of power
            inode = (place / RECORD).stat().st_ino
            if not _is_intact(place, inode, os.getpid()):
                self.remove(key)
                return None
        return place, record

    def key_of(self, stamp: str) -> str | None:
        """Return the key that was noted for the state of some files."""
        try:
            return (self.root / "stamps" / stamp).read_text("ascii")
        except OSError:
            return None

    def note(self, stamp: str, key: str) -> None:
        """Remember the key of the files in this state."""
        with suppress(OSError):
            noted = self.root / "stamps" / stamp
            unfinished = noted.with_name(f".{stamp}.{os.getpid()}.{get_ident()}")
            unfinished.write_text(key, "ascii")
            unfinished.replace(noted)

    def may_hold(self, outline: str) -> bool:
        """Tell whether there is an entry whose key begins in this way."""
        names = os.listdir(self.root / "volumes")  # noqa: PTH208  thousands, for each new volume
        return any(name.startswith(outline) for name in names)

    def tick(self) -> int:
        """Count one more subject that was asked for, by any process, and return the count."""
        with (self.root / "clock").open("ab", buffering=0) as clock:
            clock.write(b".")
            return clock.tell()

    def mark(self, key: str, due: int) -> None:
        """Note when an entry is due next, by the clock of `tick`."""
        with suppress(OSError):
            os.utime(self._place(key) / RECORD, ns=(due, due))

    def save(
        self,
        key: str,
        nbytes: int,
        fill: Callable[[UnfinishedEntry], dict[str, Any] | None],
        due: tuple[int, int],
    ) -> bool:
        """Write an entry; return whether it is there, or there was no room for it.

        Parameters
        ----------
        key : str
            Its name.
        nbytes : int
            Size of its voxel file.
        fill : callable
            Writes the entry and returns what is to be known of it, to which its files and the
            start of the machine are added; or None if it shall not be kept.
        due : (int, int)
            The clock now, and when the entry is due next.

        Raises
        ------
        OSError
            If the disk is full, or cannot be written.
        """
        with self._locked():
            self._clear()
            if self._place(key).exists() or self._unfinished(key).exists():
                return self._place(key).exists()
            if not self._make_room(nbytes, *due):
                return False
            entry = self._begin(key, nbytes)
        try:
            known = fill(entry)
            is_kept = known is not None and self._finish(entry, known, due)
            if is_kept:
                self._unfinished(key).replace(self._place(key))
        except BaseException:
            shutil.rmtree(self._unfinished(key), ignore_errors=True)
            raise
        finally:
            entry.close()
        if is_kept:
            self.mark(key, due[1])
        else:
            shutil.rmtree(self._unfinished(key), ignore_errors=True)
        return is_kept

    def remove(self, key: str) -> None:
        """Take an entry away: at once for whoever looks for it, then from the disk."""
        gone = self._unfinished(f"{key}.gone.{os.getpid()}")
        with suppress(OSError):
            self._place(key).replace(gone)
        shutil.rmtree(gone, ignore_errors=True)

    def prepare(self) -> None:
        """Make the folder, and see whether it can be written.

        Raises
        ------
        OSError
            If it cannot.
        """
        for name in ("volumes", "unfinished", "stamps"):
            (self.root / name).mkdir(parents=True, exist_ok=True)
        with self._locked():
            self._clear()

    def _place(self, key: str) -> Path:
        return self.root / "volumes" / key

    def _unfinished(self, key: str) -> Path:
        return self.root / "unfinished" / key

    def _begin(self, key: str, nbytes: int) -> UnfinishedEntry:
        """Take the room that an entry needs, and open its voxel file."""
        place = self._unfinished(key)
        place.mkdir()
        file = os.open(place / VOXELS, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
        try:
            if fcntl is not None:
                fcntl.flock(file, fcntl.LOCK_EX)
            if hasattr(os, "posix_fallocate"):  # full disks are told of now
                os.posix_fallocate(file, 0, nbytes)
        except BaseException:
            os.close(file)
            shutil.rmtree(place, ignore_errors=True)
            raise
        return UnfinishedEntry(place, file)

    def _finish(self, entry: UnfinishedEntry, known: dict[str, Any], due: tuple[int, int]) -> bool:
        """Write what lies beside the voxels, if there is room for that too."""
        text = json.dumps({"files": entry.facts(), **known, "boot": _boot()})
        nbytes = len(text) + entry.bytes_beside()
        if self.limit is None:
            entry.write_beside(text)
            return True
        with self._locked():
            has_room = self._make_room(nbytes, *due)
            if has_room:
                entry.write_beside(text)
        return has_room

    def _make_room(self, nbytes: int, now: int, due: int) -> bool:
        """Remove what is due later than this entry, or has been overdue for longer.

        The rule is that of Belady (1966), and an entry that would be the next to go is not kept.
        """
        if shutil.disk_usage(self.root).free < nbytes + _RESERVE_BYTES:
            raise OSError(f"less than {_RESERVE_BYTES >> 20} MB would be left on the disk")
        if self.limit is None:
            return True
        entries = sorted(_entries(self.root / "volumes", now), reverse=True)
        taken = sum(bytes_ for _, _, bytes_ in entries)
        taken += sum(bytes_ for _, _, bytes_ in _entries(self.root / "unfinished", now))
        leaving = []
        for distance, key, entry_bytes in entries:
            if taken + nbytes <= self.limit or distance <= abs(due - now):
                break
            leaving.append(key)
            taken -= entry_bytes
        if taken + nbytes > self.limit:
            return False
        for key in leaving:
            self.remove(key)
        return True

    def _clear(self) -> None:
        """Remove what processes left that are no more."""
        for place in (self.root / "unfinished").iterdir():
            if not _is_being_written(place):
                shutil.rmtree(place, ignore_errors=True)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with (self.root / ".lock").open("w") as file:
            if fcntl is not None:
                fcntl.flock(file, fcntl.LOCK_EX)
            yield


def _entries(folder: Path, now: int) -> Iterator[tuple[int, str, int]]:
    """Yield how far from now each entry is due, its name, and its bytes."""
    for place in folder.iterdir():
        with suppress(OSError):
            states = {file.name: file.stat() for file in place.iterdir()}
            due = states[RECORD].st_mtime_ns if RECORD in states else now
            yield abs(due - now), place.name, sum(state.st_size for state in states.values())


def _is_being_written(place: Path) -> bool:
    if fcntl is None:
        return True
    try:
        file = os.open(place / VOXELS, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(file)
    return False


@lru_cache(maxsize=1)
def _boot() -> str:
    """Return what is the same until the machine is started again; never the same if unknown."""
    try:
        return _BOOT.read_text("ascii").strip()
    except OSError:
        return f"process {os.getpid()}"


@lru_cache(maxsize=1 << 16)
def _is_intact(place: Path, inode: int, process: int) -> bool:
    record = read_record(place)
    return record is not None and checksums(place) == record["files"]
