"""Where in a larger whole a job belongs, as W3C Trace Context has it (https://www.w3.org/TR/trace-context/)."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

# version - trace id - parent id - flags, all in lower case; version ff is none
_PATTERN = r"^(([0-9a-e][0-9a-f]|f[0-9a-e])-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2})?$"
_TRACE_ID = slice(3, 35)
_PARENT_ID = slice(36, 52)
FORM = "00-<32 hexadecimal digits>-<16>-<2>, in lower case, neither of the first two all zeros"


def _no_zeros(value: str) -> str:
    if value and not (value[_TRACE_ID].strip("0") and value[_PARENT_ID].strip("0")):
        raise ValueError(f"must be a W3C traceparent: {FORM}")
    return value


Traceparent = Annotated[
    str,
    Field(
        pattern=_PATTERN,
        max_length=55,
        description="W3C trace context of who submitted it. Its trace id is in the job's events, in log lines about it "
        "and in exemplars of the latency.",
    ),
    AfterValidator(_no_zeros),
]


def trace_id(traceparent: str) -> str:
    """The 32 digits that name the whole; nothing of an empty one."""
    return traceparent[_TRACE_ID]
