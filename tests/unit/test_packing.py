"""Our own packing of commands says what redis-py's does."""

from __future__ import annotations

from typing import Any

import pytest
from redis._parsers.encoders import Encoder
from redis.connection import PythonRespSerializer
from redis.exceptions import DataError
from streamtag.queue.packing import Packer

# Any: redis-py does not annotate them.
_ENCODER: Any = Encoder
THEIRS: Any = PythonRespSerializer(6000, _ENCODER("utf-8", "strict", False).encode)


@pytest.mark.parametrize(
    "command",
    [
        ("PING",),
        ("CLIENT SETNAME", "streamtag"),
        ("SET", "schlüssel", b"\x00\xff" * 5000),
        ("EVALSHA", "ab", 1, "", b"", 0, -7, 2.5, 1e300, memoryview(b"seen"), bytearray(b"array")),
        ("XADD", "密", "*", "field", "a b\r\nc"),
    ],
)
def test_commands_are_what_redis_py_makes_of_them(command: tuple[object, ...]) -> None:
    assert b"".join(Packer().pack(*command)) == b"".join(THEIRS.pack(*command))


@pytest.mark.parametrize("wrong", [None, True, {}, ["a"]])
def test_what_redis_cannot_take_is_refused_as_redis_py_does(wrong: object) -> None:
    with pytest.raises(DataError):
        THEIRS.pack("SET", "key", wrong)
    with pytest.raises(DataError, match=type(wrong).__name__):
        Packer().pack("SET", "key", wrong)
