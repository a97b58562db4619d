"""Reads and writes safetensors files with NumPy: F32, BF16, I32, U8 and I8 tensors, text metadata.

The layout is the header's length (8 bytes, little-endian), a JSON header with each tensor's dtype,
shape and byte range, then the bytes. What is written here carries the checksum that combiner looks
for (src/weights/checksum.h).
"""

import errno
import contextlib
import itertools
import json
import math
import os
import stat
import struct
import zlib

import numpy as np

# BF16 is held as its bits.
CHECKSUM = "combiner_checksum"
NO_CHECKSUM = "crc32:00000000"
STORED = {"F32": "<f4", "BF16": "<u2", "I32": "<i4", "U8": "u1", "I8": "i1"}


def read(path):
    """Returns (tensors, metadata): arrays by name and strings by key, without the checksum, which is
    not checked. BF16 is widened to float32.

    Raises ValueError if the file is not a safetensors file with the dtypes above.
    """
    with open(path, "rb") as file:
        content = file.read()
    if len(content) < 8:
        raise ValueError(f"{path}: {len(content)} bytes are too few for a safetensors file")
    (length,) = struct.unpack_from("<Q", content)
    if length > len(content) - 8:
        raise ValueError(f"{path}: the header's length {length} passes the end of the file")
    try:
        header = json.loads(content[8 : 8 + length])
        metadata = header.pop("__metadata__", {})
        metadata.pop(CHECKSUM, None)
        entries = [(k, v["dtype"], v["shape"], v["data_offsets"]) for k, v in header.items()]
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"{path}: malformed header: {error}") from error
    data = memoryview(content)[8 + length :]
    tensors = {}
    for name, dtype, shape, (begin, end) in entries:
        if dtype not in STORED:
            raise ValueError(f"{path}: tensor {name} is {dtype}; known are {', '.join(STORED)}")
        size = math.prod(shape) * np.dtype(STORED[dtype]).itemsize
        if not (0 <= begin <= end <= len(data) and end - begin == size):
            raise ValueError(f"{path}: tensor {name} of {size} bytes has offsets {begin}..{end}"
                             f" in {len(data)} bytes")
        array = np.frombuffer(data[begin:end], STORED[dtype]).reshape(shape)
        if dtype == "BF16":
            array = (array.astype(np.uint32) << 16).view(np.float32)
        tensors[name] = array
    return tensors, metadata


def write(path, tensors, metadata, float_dtype="F32"):
    """Writes the file, completely or not at all. Stores floats as `float_dtype`, F32 or BF16."""
    encoded = []
    for name, array in tensors.items():
        if array.dtype.kind == "f":
            dtype, array = float_dtype, array.astype(np.float32)
            if dtype == "BF16":
                array = bfloat16_bits(array)
        else:
            dtype = {"int32": "I32", "uint8": "U8", "int8": "I8"}[array.dtype.name]
        encoded.append((name, dtype, array.astype(STORED[dtype])))
    encoded.sort(key=lambda entry: (-entry[2].itemsize, entry[0]))  # aligns every tensor

    header, end = {"__metadata__": {**metadata, CHECKSUM: NO_CHECKSUM}}, 0
    for name, dtype, array in encoded:
        begin, end = end, end + array.nbytes
        header[name] = {"dtype": dtype, "shape": array.shape, "data_offsets": [begin, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    start = struct.pack("<Q", len(text)) + text
    checksum = zlib.crc32(start)
    for _, _, array in encoded:
        checksum = zlib.crc32(array.tobytes(), checksum)
    before, after = f'"{CHECKSUM}":"{NO_CHECKSUM}"', f'"{CHECKSUM}":"crc32:{checksum:08x}"'
    start = start.replace(before.encode(), after.encode())

    write_file(path, itertools.chain([start], (array.tobytes() for _, _, array in encoded)))


def write_file(path, parts):
    """Writes under a new name and renames, as combiner does (src/base/output_file.h): follows links,
    keeps an existing file's mode, and returns when the file is on the disk. What is not a regular
    file is written in place."""
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        mode = None
    if mode is not None and not stat.S_ISREG(mode):
        with open(path, "wb") as file:
            file.writelines(parts)
        return
    if mode is not None and not os.access(path, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
    target = os.path.realpath(path)
    temporary = f"{target}.{os.getpid()}.tmp"
    with open(temporary, "xb") as file:  # not over anything that is there
        try:
            if mode is not None:
                os.chmod(temporary, stat.S_IMODE(mode))
            file.writelines(parts)
            file.flush()
            os.fsync(file.fileno())
            os.replace(temporary, target)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):  # it may have its name already
                os.remove(temporary)
            raise
    try:
        folder = os.open(os.path.dirname(target), os.O_RDONLY)
    except PermissionError:  # not every folder can be opened
        return
    try:
        os.fsync(folder)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.EROFS, errno.ENOTSUP):
            raise
    finally:
        os.close(folder)


def bfloat16_bits(array):
    """The upper halves of finite float32 values, rounded to nearest with ties to even."""
    bits = array.view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)
