"""A PNG keeps its compressed pixels, loses its text, and is refused when a checksum, length or filter is wrong."""

import io
import os
import struct
import subprocess
import sys
import zlib
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from curate.images import Delivered, Limits, decode, deliver
from curate.images.png import ADAM7, CHANNELS, DEPTHS, GREY, PALETTE, SIGNATURE, encode_png
from curate.schema import Reason
from tests.images.test_jpeg import delivered, odd, reason


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def paeth(a: int, b: int, c: int) -> int:
    p = a + b - c
    return min((abs(p - a), 0, a), (abs(p - b), 1, b), (abs(p - c), 2, c))[2]


def filtered(rows: list[bytes], pixel: int, first: int) -> bytes:
    """Scanlines with the filters 0 to 4 in turn, from `first`: a plain reading of section 9 of the standard."""
    out = bytearray()
    for number, (above, row) in enumerate(pairwise([bytes(len(rows[0])), *rows])):
        kind = (first + number) % 5
        out.append(kind)
        for i, value in enumerate(row):
            a, b, c = (row[i - pixel] if i >= pixel else 0), above[i], (above[i - pixel] if i >= pixel else 0)
            out.append((value - (0, a, b, (a + b) // 2, paeth(a, b, c))[kind]) & 255)
    return bytes(out)


def packed(samples: np.ndarray, depth: int) -> list[bytes]:
    if depth == 16:
        return [row.astype(">u2").tobytes() for row in samples.reshape(len(samples), -1)]
    if depth == 8:
        return [row.astype(np.uint8).tobytes() for row in samples.reshape(len(samples), -1)]
    bits = np.unpackbits(samples.astype(np.uint8)[..., None], axis=-1)[..., -depth:]
    return [np.packbits(row.reshape(-1)).tobytes() for row in bits]


def png(samples: np.ndarray, depth: int, colour: int, *, interlaced=False, first=0, extra=b"", level=6) -> bytes:
    """A reference writer: any depth, colour type, filters in turn, Adam7."""
    height, width = samples.shape[:2]
    pixel = max(1, CHANNELS[colour] * depth // 8)
    passes = [samples[y::down, x::across] for x, y, across, down in ADAM7] if interlaced else [samples]
    raw = b"".join(filtered(packed(part, depth), pixel, first) for part in passes if part.size)
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlaced)
    pixels = chunk(b"IDAT", zlib.compress(raw, level))
    return SIGNATURE + chunk(b"IHDR", header) + extra + pixels + chunk(b"IEND", b"")


def random_samples(depth: int, colour: int, shape=(13, 11)) -> np.ndarray:
    size = shape if CHANNELS[colour] == 1 else (*shape, CHANNELS[colour])
    return np.random.default_rng(depth * 10 + colour).integers(0, 2**depth, size, dtype=np.uint16)


@pytest.fixture(scope="module")
def radiograph(test_data) -> bytes:
    return sorted(Path(test_data("hannover-covid-cxr")).rglob("*.png"))[0].read_bytes()


def test_a_clean_radiograph_is_stored_as_it_came(radiograph):
    image = delivered(radiograph)
    assert image.data is radiograph
    assert (image.media_type, image.channels, image.bit_depth, image.changes) == ("image/png", 1, 8, ())


@pytest.mark.parametrize("interlaced", [False, True])
@pytest.mark.parametrize(("colour", "depth"), [(c, d) for c, depths in DEPTHS.items() if c != PALETTE for d in depths])
def test_every_kind_of_png_decodes_to_its_own_samples(colour, depth, interlaced):
    samples = random_samples(depth, colour)
    scale = 255 // (2**depth - 1) if depth < 8 else 1
    for first in range(5):
        data = png(samples, depth, colour, interlaced=interlaced, first=first)
        image = delivered(data)
        assert (image.data, image.channels, image.bit_depth) == (data, CHANNELS[colour], max(8, depth))
        assert np.array_equal(decode(data), samples * scale)


@pytest.mark.parametrize("depth", [1, 2, 4, 8])
def test_a_palette_is_kept_and_decodes_to_its_colours(depth):
    colours = np.random.default_rng(1).integers(0, 255, (2**depth, 3), dtype=np.uint8)
    indices = random_samples(depth, PALETTE)
    data = png(indices, depth, PALETTE, extra=chunk(b"PLTE", colours.tobytes()))
    image = delivered(data)
    assert (image.data, image.channels, image.bit_depth) == (data, 3, 8)
    assert np.array_equal(decode(data), colours[indices])


def test_transparent_colour_and_palette_alpha_are_channels():
    grey = np.arange(64, dtype=np.uint16).reshape(8, 8)
    keyed = decode(png(grey, 8, GREY, extra=chunk(b"tRNS", b"\x00\x05")))
    assert keyed.shape == (8, 8, 2)
    assert (keyed[..., 1] == 0).sum() == 1
    palette = chunk(b"PLTE", bytes(range(192))) + chunk(b"tRNS", b"\x80")
    assert delivered(png(grey, 8, PALETTE, extra=palette)).channels == 4
    assert decode(png(grey, 8, PALETTE, extra=palette))[0, 0].tolist() == [0, 1, 2, 128]


def test_opaque_alpha_is_left_out_when_decoding(test_data):
    data = sorted(Path(test_data("dsb2018-nuclei")).rglob("images/*.png"))[0].read_bytes()
    assert delivered(data).channels == 4
    assert decode(data).shape[2] == 3
    assert np.array_equal(decode(data), np.asarray(Image.open(io.BytesIO(data)))[..., :3])


def test_text_time_exif_and_private_chunks_go_and_colour_stays(radiograph):
    start = len(SIGNATURE) + 25
    exif = Image.Exif()
    exif[0x0112] = 6
    secret = [(b"tEXt", b"Name\0DOE^JANE"), (b"zTXt", b"a\0\0b"), (b"iTXt", b"DOE"), (b"tIME", bytes(7))]
    secret += [(b"prVt", b"DOE^JANE"), (b"eXIf", exif.tobytes()[6:])]
    gamma = chunk(b"gAMA", bytes([0, 0, 177, 143]))
    data = radiograph[:start] + gamma + b"".join(chunk(*entry) for entry in secret) + radiograph[start:]
    image = delivered(data + b"DOE^JANE")
    assert image.data == radiograph[:start] + gamma + radiograph[start:]
    assert image.changes == ("metadata_stripped", "trailing_bytes_trimmed")
    assert image.exif_orientation == 6
    assert delivered(data, keep_metadata=True).data == data


def test_the_first_frame_of_an_animation_is_kept_and_said():
    frames = [Image.fromarray(np.full((9, 9), value, np.uint8)) for value in (10, 200)]
    stream = io.BytesIO()
    frames[0].save(stream, "PNG", save_all=True, append_images=frames[1:])
    image = delivered(stream.getvalue())
    assert "first_frame:of=2" in image.changes
    assert b"acTL" not in image.data
    assert (decode(image.data) == 10).all()


def test_any_flipped_bit_is_found(radiograph):
    for position in range(40, len(radiograph) - 12, len(radiograph) // 60):
        flipped = bytearray(radiograph)
        flipped[position] ^= 4
        assert reason(bytes(flipped)) in {Reason.CORRUPT_IMAGE, Reason.TRUNCATED_IMAGE, Reason.UNSUPPORTED_FORMAT}


@pytest.mark.parametrize("cut", [1, 4, 12, 13, 100, 5000])
def test_a_file_cut_anywhere_is_truncated(radiograph, cut):
    assert reason(radiograph[:-cut]) is Reason.TRUNCATED_IMAGE


@pytest.mark.parametrize("name", ["truncated_end_chunk.png", "truncated_image.png", "broken.png"])
def test_real_truncated_files_are_refused(test_data, name):
    assert reason(odd(test_data, name)) is Reason.TRUNCATED_IMAGE


def whole(raw: bytes, header=(4, 4, 8, 0, 0, 0, 0), tail=b"") -> bytes:
    pixels = chunk(b"IDAT", zlib.compress(raw) + tail)
    return SIGNATURE + chunk(b"IHDR", struct.pack(">IIBBBBB", *header)) + pixels + chunk(b"IEND", b"")


def test_pixels_that_are_too_few_too_many_or_filtered_by_nothing_known_are_corrupt():
    good = bytes(5) * 4
    assert isinstance(deliver(whole(good)), Delivered)
    for bad in (good[:-1], good + b"\0", b"\x05" + good[1:], b""):
        assert reason(whole(bad)) is Reason.CORRUPT_IMAGE
    assert reason(whole(good, tail=b"DOE^JANE")) is Reason.CORRUPT_IMAGE
    assert reason(whole(good).replace(whole(good)[41:55], b"")) in {Reason.CORRUPT_IMAGE, Reason.TRUNCATED_IMAGE}
    no_zlib = SIGNATURE + whole(good)[8:33] + chunk(b"IDAT", b"DOE^JANE") + chunk(b"IEND", b"")
    assert reason(no_zlib) is Reason.CORRUPT_IMAGE
    assert reason(whole(good, header=(4, 4, 3, 0, 0, 0, 0))) is Reason.CORRUPT_IMAGE
    assert reason(whole(good, header=(0, 4, 8, 0, 0, 0, 0))) is Reason.CORRUPT_IMAGE
    assert reason(whole(good, header=(4, 4, 8, 3, 0, 0, 0))) is Reason.CORRUPT_IMAGE


def test_a_bomb_is_refused_by_its_header_and_inflates_no_further_than_it_states():
    assert reason(whole(bytes(100), header=(60_000, 60_000, 8, 2, 0, 0, 0))) is Reason.TOO_MANY_PIXELS
    assert reason(whole(bytes(100), header=(12_000, 12_000, 1, 0, 0, 0, 0))) is Reason.TOO_MANY_PIXELS
    assert reason(whole(bytes(50_000_000))) is Reason.CORRUPT_IMAGE
    assert reason(whole(bytes(20)), limits=Limits(max_pixels=15)) is Reason.TOO_MANY_PIXELS


def test_a_large_blank_mask_is_no_bomb():
    blank = encode_png(np.zeros((4000, 4000), np.uint8))
    assert len(blank) < 100_000
    assert isinstance(deliver(blank), Delivered)


def test_an_unknown_critical_chunk_is_unsupported():
    data = whole(bytes(20))
    assert reason(data[:33] + chunk(b"CgBI", b"") + data[33:]) is Reason.UNSUPPORTED_FORMAT


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("shape", [(1, 1), (7, 5), (7, 5, 2), (7, 5, 3), (7, 5, 4), (600, 500)])
def test_what_is_encoded_decodes_again_and_is_the_same_bytes_twice(dtype, shape):
    samples = np.random.default_rng(3).integers(0, np.iinfo(dtype).max, shape, dtype=dtype)
    data = encode_png(samples)
    assert data == encode_png(samples[::1].copy(order="F"))
    assert np.array_equal(decode(data), samples)
    if shape[2:] != (3,) or dtype is np.uint8:
        Image.open(io.BytesIO(data)).verify()


STREAMS = """
import hashlib, os, sys, threading
import numpy as np
from curate.images.png import encode_png

digests = {}

def work(numbers):
    for number in numbers:
        samples = np.random.default_rng(number).integers(0, 2 + number % 23, (1 + number % 40, 7), dtype=np.uint8)
        os.urandom(1000 + 37 * number)
        digests[number] = hashlib.sha256(encode_png(samples)).hexdigest()

halves = [threading.Thread(target=work, args=(range(half, 400, 2),)) for half in (0, 1)]
[half.start() for half in halves]
[half.join() for half in halves]
print(sorted(digests.items()))
"""


def test_every_process_writes_the_same_bytes():
    """ISA-L did not: of a few hundred small streams, one or two differed between processes."""
    said = {
        subprocess.run(
            [sys.executable, "-c", STREAMS], capture_output=True, check=True, env=os.environ | {"PADDING": "x" * size}
        ).stdout
        for size in (0, 37, 740)
    }
    assert len(said) == 1


def test_a_colour_profile_is_carried_into_a_new_png():
    data = encode_png(np.zeros((3, 3, 3), np.uint8), icc_profile=b"profile" * 30)
    assert Image.open(io.BytesIO(data)).info["icc_profile"] == b"profile" * 30


def test_pillow_reads_the_same_pixels_in_real_files(test_data):
    files = sorted(Path(test_data("dsb2018-nuclei")).rglob("masks/*.png"))[::20]
    files += sorted(Path(test_data("hannover-covid-cxr")).rglob("*.png"))[::8]
    for path in files:
        assert np.array_equal(decode(path.read_bytes()), np.asarray(Image.open(path))), path.name


def test_pillow_text_is_the_metadata_we_strip():
    info = PngImagePlugin.PngInfo()
    info.add_text("PatientName", "DOE^JANE")
    stream = io.BytesIO()
    Image.new("RGB", (9, 9)).save(stream, "PNG", pnginfo=info)
    assert b"DOE" not in delivered(stream.getvalue()).data
