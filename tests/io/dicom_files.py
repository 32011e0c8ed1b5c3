"""DICOM files written element by element, so that each may be what no library would write."""

import struct
from pathlib import Path
from typing import Any

import numpy as np

CT = "1.2.840.10008.5.1.4.1.1.2"
MR = "1.2.840.10008.5.1.4.1.1.4"
ENHANCED_CT = "1.2.840.10008.5.1.4.1.1.2.1"
ENHANCED_MR = "1.2.840.10008.5.1.4.1.1.4.1"
SCALES = (0x00281052, 0x00281053)
SYNTAXES = {
    "implicit": "1.2.840.10008.1.2",
    "explicit": "1.2.840.10008.1.2.1",
    "big": "1.2.840.10008.1.2.2",
}
COSINES = (0.6, -0.8, 0.0, 0.8, 0.6, 0.0)


def element(tag: int, kind: str, value: bytes, syntax: str = "explicit") -> bytes:
    """Return one element; a sequence is of undefined length and ends itself."""
    order = ">" if syntax == "big" else "<"
    head = struct.pack(f"{order}HH", tag >> 16, tag & 0xFFFF)
    length = 0xFFFFFFFF if kind == "SQ" else len(value)
    if syntax == "implicit":
        return head + struct.pack("<I", length) + value
    if kind in ("OB", "OW", "SQ", "UN"):
        return head + kind.encode() + bytes(2) + struct.pack(f"{order}I", length) + value
    return head + kind.encode() + struct.pack(f"{order}H", length) + value


def text(tag: int, kind: str, value: str, syntax: str = "explicit") -> bytes:
    content = value.encode()
    padding = b"\0" if kind == "UI" else b" "
    return element(tag, kind, content + padding * (len(content) % 2), syntax)


def nested(syntax: str) -> bytes:
    """Return a sequence in a sequence, with items of known and of unknown length."""
    order = ">" if syntax == "big" else "<"
    code = text(0x00080100, "SH", "T1", syntax)
    known = struct.pack(f"{order}HHI", 0xFFFE, 0xE000, len(code)) + code
    end = struct.pack(f"{order}HHI", 0xFFFE, 0xE0DD, 0)
    inner = element(0x00081140, "SQ", known + end, syntax)
    item = struct.pack(f"{order}HHI", 0xFFFE, 0xE000, 0xFFFFFFFF) + inner
    pixels = element(0x7FE00010, "OW", b"an icon's pixels", syntax)
    closed = item + pixels + struct.pack(f"{order}HHI", 0xFFFE, 0xE00D, 0)
    return element(0x00081115, "SQ", closed + end, syntax)


def dicom_bytes(
    pixels: np.ndarray[Any, Any],
    *,
    syntax: str = "explicit",
    place: tuple[float, ...] = (0.0, 0.0, 0.0),
    number: int = 1,
    series: str = "1.2.3.4",
    stored_bits: int | None = None,
    scaling: tuple[str, str] | None = None,
    colours: str = "MONOCHROME2",
    sop_class: str = CT,
    cosines: tuple[float, ...] = COSINES,
) -> bytes:
    """Return a file of ``(rows, columns)`` pixels, or of frames of them."""
    order = ">" if syntax == "big" else "<"
    bits = pixels.dtype.itemsize * 8
    *frames, rows, columns = pixels.shape
    instance = f"1.2.{series.rpartition('.')[2]}.{number}"
    own = text(0x00020002, "UI", sop_class) + text(0x00020010, "UI", SYNTAXES[syntax])
    stored = stored_bits or bits

    def short(tag: int, value: int) -> bytes:
        return element(tag, "US", struct.pack(f"{order}H", value), syntax)

    def words(tag: int, kind: str, value: str) -> bytes:
        return text(tag, kind, value, syntax)

    parts = [
        bytes(128) + b"DICM" + element(0x00020000, "UL", struct.pack("<I", len(own))) + own,
        words(0x00080016, "UI", sop_class) + words(0x00080018, "UI", instance),
        words(0x00080060, "CS", "CT") + nested(syntax),
        words(0x0020000D, "UI", "1.2.3") + words(0x0020000E, "UI", series),
        words(0x00200013, "IS", str(number)),
        words(0x00200032, "DS", "\\".join(map(str, place))),
        words(0x00200037, "DS", "\\".join(map(str, cosines))),
        short(0x00280002, 1) + words(0x00280004, "CS", colours),
        words(0x00280008, "IS", str(frames[0])) if frames else b"",
        short(0x00280010, rows) + short(0x00280011, columns),
        words(0x00280030, "DS", "0.5\\0.75"),
        short(0x00280100, bits) + short(0x00280101, stored) + short(0x00280102, stored - 1),
        short(0x00280103, int(pixels.dtype.kind == "i")),
    ]
    if scaling is not None:
        parts += [words(0x00281052, "DS", scaling[1]), words(0x00281053, "DS", scaling[0])]
    raw = pixels.astype(pixels.dtype.newbyteorder(order)).tobytes()
    parts.append(element(0x7FE00010, "OW", raw + bytes(len(raw) % 2), syntax))
    return b"".join(parts)


def write_series(folder: Path, voxels: np.ndarray[Any, Any], **options: Any) -> None:
    """Write ``(W, H, D)`` voxels, a file a slice, 2.5 mm apart, the last named first.

    `scaling` may be a list, one a slice.
    """
    folder.mkdir(exist_ok=True)
    scalings = options.pop("scaling", None)
    series = options.get("series", "1.2.3.4")
    cosines = options.get("cosines", COSINES)
    step = 2.5 * np.cross(cosines[:3], cosines[3:])
    for k in range(voxels.shape[2]):
        content = dicom_bytes(
            voxels[:, :, k].T,
            place=tuple(np.round([10.0, -20.0, 30.0] + k * step, 6).tolist()),
            number=k + 1,
            scaling=scalings[k] if isinstance(scalings, list) else scalings,
            **options,
        )
        (folder / f"{series}-{90 - k}.dcm").write_bytes(content)


def enhanced_bytes(
    frames: np.ndarray[Any, Any],
    *,
    sop_class: str = ENHANCED_CT,
    syntax: str = "explicit",
    shared: tuple[str, str] | None = None,
    each: list[tuple[str, str] | None] | None = None,
    step: float = 2.5,
    cosines: tuple[float, ...] = COSINES,
    has_lengths: bool = False,
    **options: Any,
) -> bytes:
    """Return an enhanced file of ``(frames, rows, columns)``; slopes as frames have them."""
    plain = dicom_bytes(frames, sop_class=sop_class, syntax=syntax, **options)
    order = ">" if syntax == "big" else "<"
    end = plain.rindex(struct.pack(f"{order}HH", 0x7FE0, 0x0010))

    def group(tag: int, *items: bytes) -> bytes:
        start, stop = (struct.pack(f"{order}HHI", 0xFFFE, n, 0) for n in (0xE00D, 0xE0DD))
        opened = struct.pack(f"{order}HHI", 0xFFFE, 0xE000, 0xFFFFFFFF)
        if has_lengths:
            pack = struct.Struct(f"{order}HHI").pack
            value = b"".join(pack(0xFFFE, 0xE000, len(item)) + item for item in items)
            head = element(tag, "SQ", b"", syntax)[:-4]
            return head + struct.pack(f"{order}I", len(value)) + value
        return element(tag, "SQ", b"".join(opened + i + start for i in items) + stop, syntax)

    def scaled(pair: tuple[str, str] | None) -> bytes:
        if pair is None:
            return b""
        inter, slope = (text(t, "DS", v, syntax) for t, v in zip(SCALES, pair[::-1], strict=True))
        return group(0x00289145, inter + slope + text(0x00281054, "LO", "US", syntax))

    turned = text(0x00200037, "DS", "\\".join(map(str, cosines)), syntax)
    sizes = text(0x00180050, "DS", "2.5", syntax) + text(0x00280030, "DS", "0.5\\0.75", syntax)
    normal = np.cross(cosines[:3], cosines[3:])
    places = ["\\".join(map(str, np.round(k * step * normal, 6))) for k in range(len(frames))]
    own = [
        group(0x00209113, text(0x00200032, "DS", place, syntax)) + scaled(pair)
        for place, pair in zip(places, each or [None] * len(frames), strict=True)
    ]
    all_ = group(0x00209116, turned) + group(0x00289110, sizes) + scaled(shared)
    return plain[:end] + group(0x52009229, all_) + group(0x52009230, *own) + plain[end:]
