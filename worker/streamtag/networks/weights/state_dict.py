"""PyTorch's files, read without PyTorch. They hold tensors or they are refused (``tensor_pickle.py``).

Both forms that ``torch.save`` has had: an archive since 1.6, and before that five pickles with the storages behind
them. Source of both layouts: ``torch/serialization.py`` of PyTorch 2 (BSD-3-Clause), ``_legacy_save`` and ``_save``.
"""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.lib.stride_tricks import as_strided

from streamtag.errors import ConfigError, in_words
from streamtag.networks.weights.tensor_pickle import BFLOAT16, DTYPES, Refused, Storage, Tensor, interpret

PICKLE_LIMIT_BYTES = 4 << 20  # the names and shapes of 1000 tensors take about 0.15 MB
_ZIP_MAGIC = b"PK\x03\x04"
_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_LEGACY_PROTOCOL = 1001
_COUNT = struct.Struct("<q")  # elements, before each storage of the old form


def read_state_dict(path: Path) -> Mapping[str, np.ndarray]:
    """The tensors of a PyTorch file under their names, read-only, each in its own order of memory.

    Raises:
        ConfigError: it cannot be read, is damaged, or holds anything but tensors.
    """
    try:
        with path.open("rb") as file:
            is_archive = file.read(len(_ZIP_MAGIC)) == _ZIP_MAGIC
            file.seek(0)
            return _read_archive(file) if is_archive else _read_legacy(file)
    except Refused as error:
        raise ConfigError(
            f"weights {path}: refused, {error}; a state dict is expected: torch.save(model.state_dict(), FILE)"
        ) from None
    # RuntimeError is what zipfile says of an archive with a password.
    except (OSError, EOFError, ValueError, RuntimeError, zipfile.BadZipFile) as error:
        raise ConfigError(f"weights {path}: not a PyTorch file: {in_words(error)[:200]}") from None


def _read_archive(file: BinaryIO) -> dict[str, np.ndarray]:
    with zipfile.ZipFile(file) as archive:
        names = archive.namelist()
        pickled = next((name for name in names if name == "data.pkl" or name.endswith("/data.pkl")), None)
        if pickled is None:
            raise Refused("it is a ZIP archive without the data.pkl of PyTorch")
        folder = pickled.removesuffix("data.pkl")
        if f"{folder}byteorder" in names and _entry(archive, f"{folder}byteorder", 16).strip() != b"little":
            raise Refused("its numbers are big-endian")
        tensors = _named_tensors(interpret(io.BytesIO(_entry(archive, pickled, PICKLE_LIMIT_BYTES))))
        rows = {}
        for key, storage in _storages(tensors, _size_bytes(file)).items():
            rows[key] = _numbers(storage, _entry(archive, f"{folder}data/{key}", storage.nbytes))
        return _arrays(tensors, rows)


def _entry(archive: zipfile.ZipFile, name: str, limit_bytes: int) -> bytes:
    """An entry as it is stored. PyTorch compresses nothing, so none is larger than the file."""
    try:
        info = archive.getinfo(name)
    except KeyError:
        raise Refused(f"it is damaged: the archive has no {name}") from None
    if info.compress_type != zipfile.ZIP_STORED or info.file_size > limit_bytes:
        raise Refused(f"its {name} is compressed, or its {info.file_size} bytes are more than {limit_bytes}")
    return archive.read(info)


def _read_legacy(file: BinaryIO) -> dict[str, np.ndarray]:
    head = io.BytesIO(file.read(PICKLE_LIMIT_BYTES))
    if interpret(head) != _LEGACY_MAGIC or interpret(head) != _LEGACY_PROTOCOL:
        raise Refused("it is a pickle, but none that torch.save wrote")
    system = interpret(head)
    if not isinstance(system, dict) or system.get("little_endian") is not True:
        raise Refused("its numbers are big-endian")
    tensors = _named_tensors(interpret(head))
    storages = _storages(tensors, _size_bytes(file))
    keys = interpret(head)
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys) or set(keys) != set(storages):
        raise Refused("it is damaged: its list of storages is not what its tensors say")
    file.seek(head.tell())
    rows = {}
    for key in keys:
        storage, count = storages[key], file.read(_COUNT.size)
        if len(count) < _COUNT.size or _COUNT.unpack(count) != (storage.elements,):
            raise Refused(f"it is damaged: storage {key} does not have the elements that its tensors say")
        rows[key] = _numbers(storage, file.read(storage.nbytes))
    return _arrays(tensors, rows)


def _size_bytes(file: BinaryIO) -> int:
    here = file.tell()
    size = file.seek(0, io.SEEK_END)
    file.seek(here)
    return size


def _named_tensors(content: Any) -> dict[str, Tensor]:
    """The state dict itself, or the one under ``state_dict`` of a checkpoint."""
    if isinstance(content, dict) and isinstance(content.get("state_dict"), dict):
        content = content["state_dict"]
    if not isinstance(content, dict) or not content:
        raise Refused("it is not a table of names and tensors")
    for name, value in content.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            raise Refused(f"its entry {str(name)[:80]!r} is not a tensor")
    return content


def _storages(tensors: Mapping[str, Tensor], file_bytes: int) -> dict[str, Storage]:
    """The storages by their keys, which together are no larger than the file that should hold them."""
    found: dict[str, Storage] = {}
    for tensor in tensors.values():
        if found.setdefault(tensor.storage.key, tensor.storage) != tensor.storage:
            raise Refused(f"it is damaged: storage {tensor.storage.key} is described in two ways")
    claimed_bytes = sum(storage.nbytes for storage in found.values())
    if claimed_bytes > file_bytes:
        raise Refused(f"it is cut off: its tensors want {claimed_bytes} bytes and it has {file_bytes}")
    return found


def _numbers(storage: Storage, raw: bytes) -> np.ndarray:
    if len(raw) != storage.nbytes:
        raise Refused(f"it is cut off or damaged: storage {storage.key} has {len(raw)} of {storage.nbytes} bytes")
    numbers = np.frombuffer(raw, DTYPES[storage.kind])
    if storage.kind == BFLOAT16:
        return (numbers.astype("<u4") << 16).view("<f4")
    return numbers


def _arrays(tensors: Mapping[str, Tensor], rows: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    found = {}
    for name, tensor in tensors.items():
        row = rows[tensor.storage.key]
        strides = tuple(step * row.dtype.itemsize for step in tensor.stride)
        # A view, never a copy: many tensors on one storage take no more memory than one.
        found[name] = as_strided(row[tensor.offset :], tensor.size, strides, writeable=False)
    return found
