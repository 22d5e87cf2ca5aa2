"""The faults of a job in words, for its producer."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import ValidationError

from streamtag.core.trace import FORM
from streamtag.redaction import printable

BLANK_LABEL = "a label must not be blank; name labels and groups, or leave it out for all of them"


def in_one_line(
    error: ValidationError, what: str, job: Sequence[str], sampling: Sequence[str], most_regions: int
) -> str:
    """The first fault: the field, what it must be, and never its value.

    Args:
        what: "job" or "sampling", which was read.
        job: the names of a job's fields, in order.
        sampling: those of its sampling.
        most_regions: it may name.
    """
    fault = error.errors(include_url=False)[0]
    of_sampling = what == "sampling" or (fault["loc"][:1] == ("sampling",) and len(fault["loc"]) > 1)
    known = sampling if of_sampling else job
    if fault["loc"][:1] == ("watch",):
        path = ["watch"]  # a label's place among the others says little
    else:
        path = [_field_name(part, known) for part in fault["loc"] if fault["loc"][:1] != ("roi",)] or ["roi"]
    where, kind, limits = ".".join([what, *path]), fault["type"], fault.get("ctx", {})
    if fault["loc"][:1] == ("roi",) and kind != "value_error":
        return (
            f"{what}.roi must be four numbers from 0 to 1, x, y, width and height, or 1 to {most_regions} such regions "
            "by name (letters, digits and any of . _ -, at most 32)"
        )
    if kind == "json_invalid":
        return f"the {what} is not valid JSON: {fault['msg'].removeprefix('Invalid JSON: ')}"
    if kind == "unexpected_keyword_argument":
        return f"{'.'.join([what, *path[:-1]])} has an unknown field {path[-1]!r}; known: {', '.join(known)}"
    if kind == "missing":
        return f"{what} lacks the field {path[-1]!r}"
    if kind == "string_pattern_mismatch" and path[-1:] == ["job_id"]:
        return f"{where} must be 1 to 128 letters, digits or any of . _ : @ - and begin with a letter or digit"
    if kind == "string_pattern_mismatch" and path[-1:] == ["credential"]:
        return f"{where} must be 1 to 63 letters, digits or any of . _ - and begin with a letter or digit"
    if path[-1:] == ["traceparent"]:
        return f"{where} must be a W3C traceparent: {FORM}"
    if path == ["watch"] and kind == "string_too_short":
        return f"{where}: {BLANK_LABEL}"
    if kind == "value_error":
        return f"{where}: {limits['error']}"
    if kind in _TYPES:
        return f"{where} must be {_TYPES[kind]}, got {type(fault['input']).__name__}"
    return f"{where} {_RULES.get(kind, 'is not valid').format(**limits)}"


_TYPES = {
    "dataclass_type": "a JSON object",
    "string_type": "a text",
    "bool_type": "true or false",
    "int_type": "a whole number",
    "float_type": "a number",
    "tuple_type": "a list",
}
_RULES = {
    "finite_number": "must be a finite number",
    "greater_than": "must be above {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    "too_long": "must have at most {max_length} entries",
    "string_too_short": "must not be empty",
    "string_too_long": "must have at most {max_length} characters",
    "string_pattern_mismatch": "must not contain control characters, or marks that turn the direction of text",
    "string_unicode": "is not valid UTF-8: rename the file, or name its folder",
}


def _field_name(part: int | str, known: Sequence[str]) -> str:
    """A field as a fault locates it: by name, or by place where the record was made with bare arguments."""
    return known[part] if isinstance(part, int) else printable(part, 80)
