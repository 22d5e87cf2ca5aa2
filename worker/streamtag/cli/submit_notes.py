"""What ``submit`` notes beside the jobs: it works, and may not be what was meant."""

from __future__ import annotations

from pathlib import Path

from rich.markup import escape

from streamtag.cli.common import err
from streamtag.client import Client
from streamtag.core.source import SourceKind, source_kind
from streamtag.errors import did_you_mean
from streamtag.networks.registry import NAMES
from streamtag.redaction import holds_secret, printable


def of_credentials(given: list[str], sources: list[str]) -> None:
    """Once, however many they are: passwords in sources work, and people should know where they lie."""
    if any(map(holds_secret, sources)):
        seen = "; other users of this machine see arguments: submit - reads standard input"
        visible = seen if any(map(holds_secret, given)) else ""
        _note(f"what may be a credential in a source lies in Redis until its job is over{visible}")


def of_files(sources: list[str]) -> None:
    """Files that are not here. One with a whole path may be where the workers are; another one is named from here."""
    gone = [source for source in sources if not _may_be_there(source)]
    if gone:
        more = f" and {len(gone) - 1} more" if len(gone) > 1 else ""
        _note(f"{printable(gone[0], 200)}{more}: no such file here; workers look for it at the same place of theirs")


def of_workers(client: Client) -> None:
    """A job that nobody takes waits for ever."""
    if not client.workers():
        model = client.settings.model.name
        meant = "" if model in NAMES or "/" in model else did_you_mean(model, NAMES)
        remedy = meant or f"; start one with: streamtag run --model {model}"
        _note(f"no worker serves {model!r} now{remedy}")


def _may_be_there(source: str) -> bool:
    if "://" in source or source_kind(source) is SourceKind.CAMERA:
        return True
    path = Path(source).expanduser()
    return path.is_absolute() or path.exists() or any(sign in source for sign in "*?[")


def _note(text: str) -> None:
    err.print(f"[yellow]note:[/] {escape(text)}", highlight=False, soft_wrap=True)
