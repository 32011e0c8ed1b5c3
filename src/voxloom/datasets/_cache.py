"""Where data sets are kept: fetched once, verified, and unpacked in one step.

An archive is gathered in a partial file, checked, unpacked into a folder of its own and the folder
renamed, so that what has the final name is whole. A lock lets one process at a time fetch an
archive; the others find it there.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from voxloom._errors import DownloadError, VoxloomError
from voxloom._extras import import_extra
from voxloom.datasets._download import Downloader
from voxloom.io import open_volume

FOLDER_VARIABLE: Final = "VOXLOOM_CACHE"


@dataclass(frozen=True, slots=True)
class Archive:
    """A zip file on the network and what it holds.

    Attributes
    ----------
    url : str
        Where it is.
    members : sequence of str
        File names to unpack, without the folders they lie in; each a volume.
    known_hash : str, optional
        ``'sha256:...'`` of the zip file, if it is to be checked.
    """

    url: str
    members: Sequence[str]
    known_hash: str | None = None

    @property
    def name(self) -> str:
        """File name of the archive."""
        return self.url.rsplit("/", 1)[-1]


def cache_folder() -> Path:
    """Return the user's cache folder for voxloom, or what ``VOXLOOM_CACHE`` names.

    Raises
    ------
    MissingExtraError
        If pooch, which knows where caches lie, is not installed and the variable is not set.
    """
    given = os.environ.get(FOLDER_VARIABLE)
    if given:
        return Path(given).expanduser()
    return Path(import_extra("pooch", "demo").os_cache("voxloom"))


def fetch(archive: Archive) -> dict[str, Path]:
    """Return the members of an archive as files by name, fetching it the first time.

    Raises
    ------
    DownloadError
        If it cannot be fetched, or is not what it should be.
    MissingExtraError
        If it must be fetched and pooch is not installed.
    """
    cache = cache_folder()
    folder = cache / archive.name.removesuffix(".zip")
    if not folder.is_dir():
        cache.mkdir(parents=True, exist_ok=True)
        with _locked(cache / f".{archive.name}.lock"):
            if not folder.is_dir():
                _unpack(_download(archive, cache), archive, folder)
    return {name: folder / name for name in archive.members}


def _download(archive: Archive, cache: Path) -> Path:
    """Return the zip file; pooch leaves one alone that lies there, if its hash is right."""
    pooch = import_extra("pooch", "demo")
    try:
        file = pooch.retrieve(
            archive.url,
            known_hash=archive.known_hash,
            fname=archive.name,
            path=cache,
            downloader=Downloader(cache / f"{archive.name}.part"),
        )
    except DownloadError as error:
        raise DownloadError(
            f"{error}. Call again to go on where it stopped; or fetch that file on another "
            f"machine, put it into {cache} as {archive.name}, and call again. Another folder: set "
            f"{FOLDER_VARIABLE}"
        ) from error
    except ValueError as error:
        raise DownloadError(
            f"{archive.url} came whole and is another file than expected: {error}"
        ) from error
    return Path(file)


def _unpack(zipped: Path, archive: Archive, folder: Path) -> None:
    """Unpack the members, check them, and only then give their folder its name."""
    work = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        _extract(zipped, archive.members, work)
        for name in archive.members:
            open_volume(work / name)
        work.chmod(0o755)
        work.rename(folder)
    except (zipfile.BadZipFile, EOFError, KeyError, VoxloomError) as error:
        broken = zipped.replace(zipped.with_name(zipped.name + ".broken"))
        raise DownloadError(
            f"{archive.url} came broken: {error}. Kept as {broken}; call again to fetch it anew"
        ) from error
    finally:
        shutil.rmtree(work, ignore_errors=True)
    zipped.unlink()


def _extract(zipped: Path, members: Sequence[str], work: Path) -> None:
    """Copy the members out; zipfile checks the CRC of each as it is read."""
    with zipfile.ZipFile(zipped) as opened:
        inside = {name.rsplit("/", 1)[-1]: name for name in opened.namelist()}
        missing = sorted(set(members) - inside.keys())
        if missing:
            raise zipfile.BadZipFile(f"it lacks {missing}, it holds {sorted(inside)}")
        for name in members:
            with opened.open(inside[name]) as source, (work / name).open("wb") as target:
                shutil.copyfileobj(source, target)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Let one process at a time go on; the lock ends with its process, however that ends."""
    if sys.platform == "win32":
        yield  # the rename alone keeps readers safe there
        return
    import fcntl

    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
