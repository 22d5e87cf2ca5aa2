"""Good bytes made bad: what a bug, a stranger or a failing disk makes of what was written well."""

from __future__ import annotations

import json
from copy import deepcopy
from typing import Any

from hypothesis import strategies as st

# What parsers stumble over: no numbers, huge ones, other types, depth, half a character, the wrong end of a text.
TOKENS = (
    *("NaN", "Infinity", "-1", "1e400", "1e-400", "9" * 400, "0x10", "1.5", "-0", "", " ", "null", "true", "[]", "{}"),
    *('""', '"x"', "[" * 60, "[" * 2000 + "]" * 2000, '{"a":' * 900 + "1" + "}" * 900, "\\ud800", "\x00", "\n", ","),
    *("18446744073709551615-18446744073709551615", "18446744073709551616-0", "999999999999999", "1000000000000000"),
)
ODD_VALUES: tuple[Any, ...] = (
    *(None, True, -1, 0, 1.5, 2**31, 2**53, 2**63, 2**70, 10**15 - 1, 1e300, -1e300, 5e-324, "", "x", "\x1b[31m"),
    *("\u202etxt", "é" * 3000, [], {}, [[]], [1] * 3000, {"a": {"b": {}}}, json.loads("[" * 500 + "]" * 500)),
)


@st.composite
def mutated(draw: st.DrawFn, *originals: bytes) -> bytes:
    """One of the originals with up to four changes: bytes set, cut out, said twice, or something put in."""
    content = bytearray(draw(st.sampled_from(originals)))
    for _ in range(draw(st.integers(1, 4))):
        begin = draw(st.integers(0, len(content)))
        end = min(len(content), begin + draw(st.integers(0, 12)))
        put_in = (
            st.sampled_from(TOKENS).map(str.encode) | st.binary(max_size=6) | st.just(bytes(content[begin:end]) * 2)
        )
        content[begin:end] = draw(put_in)
    return bytes(content)


@st.composite
def mutated_json(draw: st.DrawFn, *originals: bytes) -> bytes:
    """One of the originals, JSON still, with up to three of its values replaced or taken out."""
    content = json.loads(draw(st.sampled_from(originals)))
    for _ in range(draw(st.integers(1, 3))):
        content = _replaced(draw, content)
    return json.dumps(content).encode()


def _replaced(draw: st.DrawFn, content: Any) -> Any:
    places = (
        list(content) if isinstance(content, dict) else list(range(len(content))) if isinstance(content, list) else []
    )
    if not places or draw(st.integers(0, 3)) == 0:
        return draw(st.sampled_from(ODD_VALUES).map(deepcopy) | st.integers() | st.floats() | st.text(max_size=8))
    place = draw(st.sampled_from(places))
    if draw(st.integers(0, 5)) == 0:
        del content[place]
    else:
        content[place] = _replaced(draw, content[place])
    return content


def spoilt(*originals: bytes) -> st.SearchStrategy[bytes]:
    """Bytes that were JSON, and may still be."""
    return mutated(*originals) | mutated_json(*originals)
