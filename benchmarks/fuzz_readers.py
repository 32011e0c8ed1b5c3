"""Damage real files of every format by the thousand and read them: our error, or voxels.

Each format has a process of its own, with a limit on memory and on the time of one input, so
that a crash, a hang or an allocation beyond what is declared is seen and counted. The same seed
gives the same inputs.

    python benchmarks/fuzz_readers.py --count 20000
"""

import argparse
import faulthandler
import json
import multiprocessing
import os
import resource
import shutil
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from voxloom._errors import VoxloomError
from voxloom.io import open_volume, write_nifti, write_zarr

VOXELS = np.random.default_rng(0).integers(0, 999, (12, 11, 10)).astype(np.int16)
AFFINE = np.diag([2.0, -2.0, 3.0, 1.0])
MEMORY_BYTES = 1 << 30
INPUT_S = 20
INTERESTING = (b"\0\0\0\0", b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f", b"\0\0\0\x80", b"\x01\0\0\0")
LARGEST_READ = 1 << 26


def nifti(name: str) -> Callable[[Path], Path]:
    return lambda folder: Path(write_nifti(folder / name, VOXELS, AFFINE))


def pair(folder: Path) -> Path:
    import nibabel

    nibabel.Nifti1Pair(VOXELS, AFFINE).to_filename(folder / "a.img")
    return folder / "a.hdr"


def by_nibabel(kind: str, name: str) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        import nibabel

        affine = np.diag([-1, 1, 1, 1]) if kind == "AnalyzeImage" else AFFINE
        getattr(nibabel, kind)(VOXELS, affine).to_filename(folder / name)
        return folder / name

    return write


def npy(folder: Path) -> Path:
    np.save(folder / "a.npy", VOXELS)
    return folder / "a.npy"


def itk(name: str, packed: bool = False) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        import SimpleITK

        image = SimpleITK.GetImageFromArray(VOXELS.T)
        SimpleITK.WriteImage(image, str(folder / name), packed)
        return folder / name

    return write


def dicom(folder: Path) -> Path:
    import SimpleITK

    image = SimpleITK.GetImageFromArray(VOXELS.T)
    series = folder / "series"
    series.mkdir()
    for k in range(3):
        slab = image[:, :, k]
        for tag, value in {
            "0020|000e": "1.2.3",
            "0020|0032": f"0\\0\\{k}",
            "0020|0013": str(k),
            "0008|0060": "MR",
        }.items():
            slab.SetMetaData(tag, value)
        writer = SimpleITK.ImageFileWriter()
        writer.KeepOriginalImageUIDOn()
        writer.SetFileName(str(series / f"{k}.dcm"))
        writer.Execute(slab)
    return series


def enhanced(folder: Path) -> Path:
    """Write one DICOM file of many frames, whose places are sequences of elements."""
    import SimpleITK

    image = SimpleITK.GetImageFromArray(VOXELS.T)
    image.SetMetaData("0008|0016", "1.2.840.10008.5.1.4.1.1.4.1")  # enhanced MR
    image.SetMetaData("0008|0060", "MR")
    writer = SimpleITK.ImageFileWriter()
    writer.KeepOriginalImageUIDOn()
    writer.SetFileName(str(folder / "a.dcm"))
    writer.Execute(image)
    return folder / "a.dcm"


def tiff(name: str, **options: Any) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        import tifffile

        tifffile.imwrite(folder / name, VOXELS.T, photometric="minisblack", **options)
        return folder / name

    return write


def hdf5(folder: Path) -> Path:
    import h5py

    with h5py.File(folder / "a.h5", "w") as file:
        file.create_dataset("t1", data=VOXELS, chunks=(4, 4, 4), compression="gzip")
        file["t1"].attrs["affine"] = AFFINE
    return folder / "a.h5"


def blosc(folder: Path) -> Path:
    import blosc2

    path = folder / "a.b2nd"
    blosc2.asarray(VOXELS, urlpath=str(path), mode="w", chunks=(8, 8, 8), blocks=(4, 4, 4))
    return path


def plain_zarr(version: int) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        import zarr

        path = folder / "a.zarr"
        zarr.create_array(str(path), data=VOXELS, chunks=(8, 8, 8), zarr_format=version)
        return path

    return write


def ome_zarr(folder: Path) -> Path:
    return Path(write_zarr(folder / "a.zarr", VOXELS, AFFINE, chunk=8))


def ome_zarr_labels(folder: Path) -> Path:
    return Path(write_zarr(folder / "a.zarr", VOXELS > 500, AFFINE, chunk=8, labels=True))


FORMATS: dict[str, Callable[[Path], Path]] = {
    "nii": nifti("a.nii"),
    "nii.gz": nifti("a.nii.gz"),
    "hdr and img": pair,
    "npy": npy,
    "mgz": by_nibabel("MGHImage", "a.mgz"),
    "nii.bz2": by_nibabel("Nifti1Image", "a.nii.bz2"),
    "analyze": by_nibabel("AnalyzeImage", "a.img"),
    "nrrd": itk("a.nrrd"),
    "nrrd gzip": itk("a.nrrd", packed=True),
    "nhdr": itk("a.nhdr"),
    "mha": itk("a.mha"),
    "mha packed": itk("a.mha", packed=True),
    "mhd": itk("a.mhd"),
    "gipl": itk("a.gipl"),
    "tiff": tiff("a.tif"),
    "tiff packed": tiff("a.tif", compression="zlib"),
    "ome-tiff": tiff("a.ome.tif", metadata={"axes": "ZYX", "PhysicalSizeX": 0.5}),
    "hdf5": hdf5,
    "b2nd": blosc,
    "zarr 2": plain_zarr(2),
    "zarr 3": plain_zarr(3),
    "ome-zarr": ome_zarr,
    "ome-zarr labels": ome_zarr_labels,
    "dicom": dicom,
    "dcm": lambda folder: dicom(folder) / "0.dcm",
    "dcm enhanced": enhanced,
}


def mutate(content: bytes, rng: np.random.Generator) -> bytes:
    """Return the bytes changed in some places, most of them near the beginning."""
    data = bytearray(content)
    for _ in range(int(rng.integers(1, 6))):
        if not data:
            break
        near = min(len(data), 600) if rng.random() < 0.6 else len(data)
        place = int(rng.integers(near))
        kind = rng.integers(6)
        if kind == 0:
            data[place] ^= 1 << int(rng.integers(8))
        elif kind == 1:
            data[place] = int(rng.integers(256))
        elif kind == 2:
            data[place : place + 4] = INTERESTING[int(rng.integers(len(INTERESTING)))]
        elif kind == 3:
            del data[place:]
        elif kind == 4:
            del data[place : place + int(rng.integers(1, 9))]
        else:
            data[place:place] = data[place : place + int(rng.integers(1, 99))]
    return bytes(data)


def elements_of(content: bytes) -> list[tuple[int, int]]:
    """Return where the values of a DICOM file's elements begin and end: explicit, little endian."""
    found, place = [], 132
    while place + 8 <= len(content):
        kind = content[place + 4 : place + 6]
        long = kind in (b"OB", b"OW", b"SQ", b"UN", b"UT", b"OF")
        width, start = (4, place + 12) if long else (2, place + 8)
        length = int.from_bytes(content[start - width : start], "little")
        found.append((start, min(start + length, len(content))))
        place = start + length
    return found


def damage_elements(content: bytes, rng: np.random.Generator) -> bytes:
    """Return a DICOM file with values, or their lengths, changed; tags stay where they are.

    Bytes changed anywhere mostly hit identifiers that nobody reads.
    """
    data = bytearray(content)
    elements = elements_of(content)
    for _ in range(int(rng.integers(1, 4))):
        start, stop = elements[int(rng.integers(len(elements)))]
        if stop == start or rng.random() < 0.2:
            data[start - 2 : start] = rng.bytes(2)  # the length, or its upper half
        elif rng.random() < 0.5:
            data[start:stop] = rng.permutation(np.frombuffer(data[start:stop], np.uint8)).tobytes()
        else:
            text = [b"0", b"-1", b"1e999", b"65535", b"4294967295", b"nan", b"\\", b"\xff\xff"]
            value = text[int(rng.integers(len(text)))]
            data[start:stop] = value.ljust(stop - start, b" ")[: stop - start]
    return bytes(data)


def judge(path: Path) -> str:
    """Read one input; return what became of it, beginning with ``!`` where that is a fault."""
    try:
        source = open_volume(path)
        declared = int(np.prod(source.shape, dtype=object)) * source.dtype.itemsize
        if declared > LARGEST_READ:
            return "opened, larger than is read here"
        voxels = source.read()
    except VoxloomError as error:
        named = str(error)  # a header that lies names itself, voxels that are gone their file
        return "refused" if str(path.with_suffix("")) in named else f"! no name in: {named}"
    except BaseException as error:
        traceback.print_exc()
        return f"! {type(error).__name__}: {error}"
    return "read" if voxels.nbytes == declared else "! other size than declared"


def attack(name: str, count: int, seed: int, done: Any, limited: bool = True) -> None:
    """Judge inputs `done` to `count`; `done` and the report are shared with the parent."""
    warnings.simplefilter("ignore")
    faulthandler.enable()
    rng = np.random.default_rng([seed, *name.encode(), done.value])
    with tempfile.TemporaryDirectory() as folder:
        path = FORMATS[name](Path(folder))
        judge(path)  # the libraries are loaded before memory is limited
        if limited:
            with Path("/proc/self/statm").open() as file:
                now = int(file.read().split()[0]) * resource.getpagesize()
            resource.setrlimit(resource.RLIMIT_AS, (now + MEMORY_BYTES, -1))
        files = sorted(file for file in Path(folder).rglob("*") if file.is_file())
        while done.value < count:
            file = files[int(rng.integers(len(files)))]
            whole = file.read_bytes()
            kept = Path(folder).parent / f"voxloom-fuzz-{os.getppid()}"
            by_element = name in ("dicom", "dcm enhanced") and rng.random() < 0.7
            changed = (damage_elements if by_element else mutate)(whole, rng)
            kept.write_bytes(changed)
            _write_anew(file, changed)
            verdict = judge(path)
            _write_anew(file, whole)
            done.value += 1
            print(json.dumps([name, verdict]), flush=True)


def _write_anew(file: Path, content: bytes) -> None:
    file.unlink()  # what is mapped of the old file stays whole
    file.write_bytes(content)


def campaign(names: list[str], count: int, seed: int) -> dict[str, Counter[str]]:
    """Return the verdicts by format over `count` inputs, each format in processes of its own."""
    context = multiprocessing.get_context("spawn")
    found: dict[str, Counter[str]] = {name: Counter() for name in names}
    each = -(-count // len(names))
    for name in names:
        done = context.Value("q", 0)
        with tempfile.NamedTemporaryFile("r", suffix=".jsonl") as report:
            while done.value < each:
                process = context.Process(target=_into, args=(report.name, name, each, seed, done))
                process.start()
                fault = _watch(process, done)
                if fault and done.value < each:
                    found[name][fault] += 1
                    kept = Path(tempfile.gettempdir(), f"voxloom-fuzz-{os.getpid()}")
                    safe = f"fuzz-{name.replace(' ', '-')}-{seed}-{done.value}"
                    if kept.exists():
                        shutil.copy(kept, Path(tempfile.gettempdir(), safe))
                    done.value += 1
            found[name].update(json.loads(line)[1] for line in report.read().splitlines())
    return found


def _into(report: str, *arguments: Any) -> None:
    with Path(report).open("a") as file:
        os.dup2(file.fileno(), 1)
        attack(*arguments)


def _watch(process: Any, done: Any) -> str:
    seen, since = -1, time.monotonic()
    while process.is_alive():
        process.join(0.2)
        if done.value != seen:
            seen, since = done.value, time.monotonic()
        elif time.monotonic() - since > INPUT_S:
            process.kill()
            process.join()
            return f"! hung for {INPUT_S} s"
    return "" if process.exitcode == 0 else f"! died with exit code {process.exitcode}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--formats", nargs="*", default=list(FORMATS))
    given = parser.parse_args()
    began = time.monotonic()
    found = campaign(given.formats, given.count, given.seed)
    for name, verdicts in found.items():
        print(name, dict(verdicts.most_common()))
    total = sum(sum(verdicts.values()) for verdicts in found.values())
    faults = sum(n for verdicts in found.values() for v, n in verdicts.items() if v[0] == "!")
    print(f"{total} inputs, {faults} faults, {time.monotonic() - began:.0f} s")
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()
