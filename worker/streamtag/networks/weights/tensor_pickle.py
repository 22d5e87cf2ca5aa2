"""The pickles inside PyTorch's files, interpreted: tensors come out, or a refusal. Nothing in them is ever run.

Python's own unpickler is not asked. Of its opcodes the two dozen of which a state dict consists are carried out here,
and none of them calls what a file names: a name stays a name, and only those of tensors are let in.

Source of what ``torch.save`` pickles: ``torch/_utils.py`` and ``torch/storage.py`` of PyTorch 2 (BSD-3-Clause).
"""

from __future__ import annotations

import pickletools
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np

DIMENSIONS_LIMIT = 8
_NUMBER_LIMIT = 1 << 40  # of an offset, a length or a step

# Bfloat16 is the upper half of a float32; numpy has no name for it.
BFLOAT16 = "BFloat16Storage"
DTYPES: dict[str, np.dtype[Any]] = {
    "DoubleStorage": np.dtype("<f8"),
    "FloatStorage": np.dtype("<f4"),
    "HalfStorage": np.dtype("<f2"),
    BFLOAT16: np.dtype("<u2"),
    "LongStorage": np.dtype("<i8"),
    "IntStorage": np.dtype("<i4"),
    "ShortStorage": np.dtype("<i2"),
    "CharStorage": np.dtype("i1"),
    "ByteStorage": np.dtype("u1"),
    "BoolStorage": np.dtype("?"),
}


class Refused(Exception):
    """The file is not, or not only, what it should be; the text says what it holds."""


@dataclass(frozen=True, slots=True)
class Storage:
    """A row of numbers that tensors look at: where in the file, and how many."""

    kind: str  # a key of DTYPES
    key: str
    elements: int

    @property
    def nbytes(self) -> int:
        """Bytes it takes in the file."""
        return self.elements * DTYPES[self.kind].itemsize


@dataclass(frozen=True, slots=True)
class Tensor:
    """A tensor as it is pickled: a window on a storage, in elements."""

    storage: Storage
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Global:
    """A name that a pickle asks for. It stays a name."""

    module: str
    name: str


def interpret(stream: BinaryIO) -> Any:
    """One pickle from where the stream stands; the stream then stands behind it.

    Returns:
        Tables, lists and tuples of texts, numbers and ``Tensor``.

    Raises:
        Refused: it is damaged, or holds anything else.
    """
    return _Interpreter(stream).run()


class _Interpreter:
    """A stack, as the pickle machine has it, and a step for each opcode."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._stack: list[Any] = []
        self._marks: list[int] = []
        self._memo: dict[int, Any] = {}

    def run(self) -> Any:
        try:
            for opcode, argument, _position in pickletools.genops(self._stream):
                if opcode.name == "STOP":
                    return self._pop()
                self._step(opcode.name, argument)
        except (ValueError, IndexError, KeyError, TypeError) as error:
            raise Refused(f"it is cut off or damaged ({str(error)[:80]})") from None
        raise Refused("it is cut off")

    def _step(self, opcode: str, argument: Any) -> None:
        match opcode:
            case "PROTO" | "FRAME":
                pass
            case "MARK":
                self._marks.append(len(self._stack))
            case "NONE" | "NEWTRUE" | "NEWFALSE":
                self._stack.append({"NONE": None, "NEWTRUE": True, "NEWFALSE": False}[opcode])
            case "BININT" | "BININT1" | "BININT2" | "LONG1" | "BINFLOAT" | "BINUNICODE" | "SHORT_BINUNICODE":
                self._stack.append(argument)
            case "EMPTY_DICT" | "EMPTY_LIST" | "EMPTY_TUPLE":
                self._stack.append({"EMPTY_DICT": dict, "EMPTY_LIST": list, "EMPTY_TUPLE": tuple}[opcode]())
            case "BINPUT" | "LONG_BINPUT":
                self._memo[argument] = self._stack[-1]
            case "MEMOIZE":
                self._memo[len(self._memo)] = self._stack[-1]
            case "BINGET" | "LONG_BINGET":
                self._stack.append(self._memo[argument])
            case _:
                self._combine(opcode, argument)

    def _combine(self, opcode: str, argument: Any) -> None:
        match opcode:
            case "TUPLE":
                self._stack.append(tuple(self._to_mark()))
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                parts = [self._pop() for _ in range(int(opcode[-1]))]
                self._stack.append(tuple(reversed(parts)))
            case "APPEND" | "APPENDS":
                items = self._to_mark() if opcode == "APPENDS" else [self._pop()]
                _of(self._stack[-1], list).extend(items)
            case "SETITEM" | "SETITEMS":
                items = self._to_mark() if opcode == "SETITEMS" else [self._pop(), self._pop()][::-1]
                # Names and numbers only: the hash of nested tuples can be made to take for ever.
                keys = [key if isinstance(key, str | int) else _of(key, str) for key in items[::2]]
                _of(self._stack[-1], dict).update(zip(keys, items[1::2], strict=True))
            case "GLOBAL":
                module, _, name = argument.partition(" ")
                self._stack.append(_allowed(_Global(module, name)))
            case "STACK_GLOBAL":
                name, module = self._pop(), self._pop()
                self._stack.append(_allowed(_Global(_of(module, str), _of(name, str))))
            case "BINPERSID":
                self._stack.append(_storage(self._pop()))
            case "REDUCE":
                arguments, called = self._pop(), self._pop()
                self._stack.append(_made(called, _of(arguments, tuple)))
            case "BUILD":
                self._pop()  # attributes: of a state dict the versions of its modules
                _of(self._stack[-1], dict)
            case _:
                raise Refused(f"it holds more than tensors (pickle opcode {opcode})")

    def _pop(self) -> Any:
        return self._stack.pop()

    def _to_mark(self) -> list[Any]:
        at = self._marks.pop()
        items = self._stack[at:]
        del self._stack[at:]
        return items


_ORDERED_DICT = _Global("collections", "OrderedDict")
_REBUILD_TENSOR = _Global("torch._utils", "_rebuild_tensor_v2")
_REBUILD_PARAMETER = _Global("torch._utils", "_rebuild_parameter")


def _allowed(wanted: _Global) -> _Global:
    if wanted in (_ORDERED_DICT, _REBUILD_TENSOR, _REBUILD_PARAMETER):
        return wanted
    if wanted.module == "torch" and wanted.name in DTYPES:
        return wanted
    raise Refused(f"it holds more than tensors and could run code ({wanted.module}.{wanted.name}"[:200] + ")")


def _storage(persistent_id: Any) -> Storage:
    """``("storage", kind, key, device, elements)``; before 1.6 with a view, which is None since 0.4."""
    tag, kind, key, _device, elements, *view = _of(persistent_id, tuple)
    if tag != "storage" or any(part is not None for part in view):
        raise Refused("it has a storage of a kind that is not known here")
    if elements < 0 or not isinstance(kind, _Global) or kind.name not in DTYPES:
        raise Refused("it has a storage of a kind that is not known here")
    return Storage(kind.name, _of(key, str), _of(elements, int))


def _made(called: Any, arguments: tuple[Any, ...]) -> Any:
    if called == _ORDERED_DICT and not arguments:
        return {}
    if called == _REBUILD_TENSOR:
        return _tensor(*arguments[:4])
    if called == _REBUILD_PARAMETER:
        return _of(arguments[0], Tensor)
    raise Refused("it holds more than tensors")


def _tensor(storage: Any, offset: Any, size: Any, stride: Any) -> Tensor:
    """A window that lies within its storage and shows no element twice."""
    if not len(_of(size, tuple)) == len(_of(stride, tuple)) <= DIMENSIONS_LIMIT:
        raise Refused("a tensor has no proper shape")
    if not all(type(number) is int and 0 <= number < _NUMBER_LIMIT for number in (offset, *size, *stride)):
        raise Refused("a tensor has no proper shape")
    elements = 1
    for length in size:
        elements *= length
    last = offset + sum((length - 1) * step for length, step in zip(size, stride, strict=True))
    room = _of(storage, Storage).elements
    if elements > room or (elements and last >= room):
        raise Refused("a tensor reaches beyond its storage")
    return Tensor(storage, offset, size, stride)


def _of(value: Any, kind: type) -> Any:
    """The value, if it is of the kind; containers of a hostile file are never printed, they may be endless."""
    if not isinstance(value, kind):
        raise TypeError(f"{kind.__name__} expected, {type(value).__name__} found")
    return value
