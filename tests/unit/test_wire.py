"""What a decoder says survives any cutting of the stream."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from streamtag.core.records import Sample
from streamtag.ingest import wire


def message(number: int) -> wire.SampleMessage:
    return wire.SampleMessage(
        Sample(number, number * 0.5, 1e9 + number, number % 200, 0.25, number + 1, number), 0.5, 0.75, 0.125
    )


@given(st.lists(st.integers(0, 2**40), max_size=20), st.lists(st.integers(1, 300), max_size=60))
def test_messages_come_out_as_they_went_in_however_they_are_cut(numbers: list[int], cuts: list[int]) -> None:
    expected: list[wire.Message] = []
    content = b""
    for number in numbers:
        content += wire.pack_sample(message(number)) + wire.pack("progress", decoded=number, detail="é" * (number % 50))
        expected += [message(number), {"type": "progress", "decoded": number, "detail": "é" * (number % 50)}]
    unpacker, found = wire.Unpacker(), []
    for cut in cuts:
        found += unpacker.feed(content[:cut])
        content = content[cut:]
    found += unpacker.feed(content)
    assert found == expected
