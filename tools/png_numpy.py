"""Reads and writes PNG files of 8-bit RGB pixels with NumPy, as combiner writes them."""

import struct
import zlib

import numpy as np

SIGNATURE = b"\x89PNG\r\n\x1a\n"
CHANNELS = 3


def chunks(data):
    """Yields (type, contents)."""
    position = len(SIGNATURE)
    while position < len(data):
        length, name = struct.unpack_from(">I4s", data, position)
        yield name, data[position + 8 : position + 8 + length]
        position += 12 + length


def nearest_of(left, above, corner):
    """Paeth's predictor: which of the three is nearest to left + above - corner."""
    guess = left + above - corner
    distances = abs(guess - left), abs(guess - above), abs(guess - corner)
    return (left, above, corner)[distances.index(min(distances))]


def unfiltered(kind, line, above):
    """A line's bytes, from the differences that filter `kind` left of them."""
    if kind == 0:
        return line
    if kind == 1:
        return np.cumsum(line.reshape(-1, CHANNELS), axis=0, dtype=np.uint8).reshape(-1)
    if kind == 2:
        return line + above
    values = bytearray(line)
    above = bytes(above)
    for i in range(len(values)):
        left = values[i - CHANNELS] if i >= CHANNELS else 0
        if kind == 3:
            predicted = (left + above[i]) // 2
        else:
            predicted = nearest_of(left, above[i], above[i - CHANNELS] if i >= CHANNELS else 0)
        values[i] = (values[i] + predicted) & 255
    return np.frombuffer(bytes(values), np.uint8)


def read(path):
    """Returns the pixels, uint8 [height, width, 3]."""
    with open(path, "rb") as file:
        data = file.read()
    if not data.startswith(SIGNATURE):
        raise ValueError(f"{path}: not a PNG file")
    found = list(chunks(data))
    width, height, depth, colour, _, _, interlace = struct.unpack(">IIBBBBB", found[0][1])
    if (depth, colour, interlace) != (8, 2, 0):
        raise ValueError(f"{path}: expected 8-bit RGB without interlacing")
    lines = np.frombuffer(
        zlib.decompress(b"".join(contents for name, contents in found if name == b"IDAT")), np.uint8
    ).reshape(height, 1 + CHANNELS * width)
    pixels = np.zeros((height, CHANNELS * width), np.uint8)
    above = np.zeros(CHANNELS * width, np.uint8)
    for y, line in enumerate(lines):
        above = pixels[y] = unfiltered(line[0], line[1:], above)
    return pixels.reshape(height, width, CHANNELS)


def write(path, pixels):
    """Writes pixels, uint8 [height, width, 3]."""
    height, width, _ = pixels.shape
    lines = np.zeros((height, 1 + CHANNELS * width), np.uint8)  # each begins with its filter, 0
    lines[:, 1:] = pixels.reshape(height, -1)
    with open(path, "wb") as file:
        file.write(SIGNATURE)
        for name, contents in (
            (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, CHANNELS - 1, 0, 0, 0)),
            (b"IDAT", zlib.compress(lines.tobytes(), 9)),
            (b"IEND", b""),
        ):
            file.write(struct.pack(">I", len(contents)) + name + contents)
            file.write(struct.pack(">I", zlib.crc32(name + contents)))
