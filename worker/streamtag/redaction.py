"""What of a source, an address or a foreign text may be shown. The only place that decides it.

Cameras take passwords with any character in them, in the user part, in the query and in the path; no rule tells for
certain where such a password ends. So the rules err on the side of hiding: of an address scheme, host and a short
path are shown, and of a foreign text everything from ``://`` to the last ``@`` of its line is taken for credentials.

Texts come from strangers. Each is cut to a bound first and then read in passes that never look back, so that the work
grows with the length and not with its square.
"""

from __future__ import annotations

import re

MAX_TEXT = 8192
MAX_PATH = 80
HIDDEN = "***"

# Obeyed by terminals, or turning the direction of the text around them; and halves of characters, which no file takes.
_UNPRINTABLE = re.compile("[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{0,15}")
# Each pattern begins with something fixed: one that may begin anywhere is tried from everywhere.
_ADDRESS = re.compile(r"://([^\s/?#&'\"<>]*)([^\s?#&'\"<>]*)([?#&][^\s'\"<>]*)?")
_SECRET_NAME = re.compile(
    r"(?i)(?:pass|pwd|psw|token|secret|auth|session|credential|login|jwt|api[_-]?key|signature)[a-z0-9_-]{0,32}="
    r"|(?<![a-z])(?:pw|pas|sig|key|user|usr|username|sess|sid|pin|otp|code)[0-9]{0,4}="
    r"|authorization:"
)


def printable(text: str, limit: int = MAX_TEXT) -> str:
    """The text in one line, cut to a limit, without anything that a terminal obeys or cannot show."""
    if len(text) > limit:
        text = f"{text[:limit]}… ({len(text) - limit} more characters)"
    return _UNPRINTABLE.sub("?", text)


def redact(text: str, source: str = "") -> str:
    """A text of unknown origin, bounded, with no credential of an address in it.

    Args:
        source: the address or path that the text is about, where that is known. A password with blanks in it can only
            be told from the words after it by knowing it.
    """
    if len(source) > 3:
        text = text.replace(source, shown_source(source))
    lines = text[:MAX_TEXT].split("\n")
    if len(text) > MAX_TEXT:
        lines[-1] += f"… ({len(text) - MAX_TEXT} more characters)"
    return "\n".join(_ADDRESS.sub(_shown_address, _hide(printable(line.replace("\t", " ")))) for line in lines)


def shown_source(source: str) -> str:
    """What people may see of a source: a path as it is; of an address scheme, host and a short path."""
    scheme, separator, _rest = source.partition("://")
    if not separator or not _SCHEME.fullmatch(scheme) or scheme.lower() == "file":
        return _short(printable(source[-MAX_TEXT:]), 2 * MAX_PATH)
    address = _hide(printable(source)).removeprefix(f"{scheme}://")
    host, slash, path = re.split(r"[?#&]", address, maxsplit=1)[0].partition("/")
    return f"{scheme}://{host[:255]}{_shown_path(slash + path)}"


def without_name(reason: str, source: str) -> str:
    """A reason without the source's name in front of it, for where that is told already."""
    for name in (shown_source(source), printable(source.rstrip("/").rpartition("/")[2], 200)):
        if name and reason.startswith(f"{name}: "):
            return reason[len(name) + 2 :]
    return reason


def holds_secret(source: str) -> bool:
    """Whether a source may hold a credential: an address with a user part, a query, or values in its path."""
    scheme, separator, rest = source.partition("://")
    return bool(separator and scheme.lower() != "file" and re.search(r"[@?#&=]", rest))


def redact_url(url: str) -> str:
    """A server's address for logs: scheme, host, port and path; no user, password or query."""
    return shown_source(url).replace(f"{HIDDEN}@", "", 1)


def _hide(line: str) -> str:
    """A line without what may be credentials: those before the last ``@``, and the values of telling names.

    A value may hold blanks, quotes and ``@``; so it ends only at the next ``&`` or with the line.
    """
    hidden: list[tuple[int, int]] = []
    first, last = line.find("://"), line.rfind("@")
    while last > first >= 0 and not line[last + 1 : last + 2].strip():  # "[rtsp @ 0x55]" is no user part
        last = line.rfind("@", 0, last)
    if last > first >= 0:
        hidden.append((first + 3, last))
    found = _SECRET_NAME.search(line)
    while found:
        end = line.find("&", found.end())
        hidden.append((found.end(), end if end >= 0 else len(line)))
        found = _SECRET_NAME.search(line, hidden[-1][1])
    parts: list[str] = []
    at = 0
    for start, end in sorted(hidden):
        if end > at:
            parts += [line[at : max(at, start)], HIDDEN if start >= at else ""]
            at = end
    return "".join([*parts, line[at:]])


def _shown_address(found: re.Match[str]) -> str:
    host, path, query = found.groups()
    return f"://{host}{_shown_path(path)}{'?…' if query else ''}"


def _shown_path(path: str) -> str:
    """Some cameras are given the password in the path: ``/user=admin&password=x``. From a value on, it is hidden."""
    value = path.find("=")
    if value >= 0:
        path = path[: path.rfind("/", 0, value) + 1] + HIDDEN
    return _short(path, MAX_PATH)


def _short(path: str, limit: int) -> str:
    """The end of a path tells more than its beginning."""
    return path if len(path) <= limit else f"…{path[-limit:]}"
