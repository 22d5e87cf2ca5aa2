"""The dead letters of a sink, told once more when its trouble is over."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from streamtag.errors import ConfigError
from streamtag.notify_settings import Sink, WebhookSink
from streamtag.queue.notices import Feeds, UndeliveredEvent
from streamtag.redaction import printable
from streamtag.settings import Settings
from streamtag.tools.notify.notice import Unacceptable, Unreachable, notice_of
from streamtag.tools.notify.runner import queue_of
from streamtag.tools.notify.webhook import Webhook


@dataclass(frozen=True, slots=True)
class Retold:
    """A dead letter that was told again.

    Attributes:
        reason: why the sink did not take it this time either; empty where it did, and the letter is gone.
    """

    letter: UndeliveredEvent
    reason: str


def webhook_of(settings: Settings, name: str) -> WebhookSink:
    """The sink of that name.

    Raises:
        ConfigError: there is none, or it is a broker.
    """
    found: list[Sink] = [sink for sink in settings.notify.sinks if sink.name == name]
    if not found:
        names = ", ".join(sink.name for sink in settings.notify.sinks) or "none"
        raise ConfigError(f"notify.sinks has no {name!r}; those there: {names}")
    if not isinstance(found[0], WebhookSink):
        raise ConfigError(f"{name}: only webhooks are told again; a broker keeps states, which would be those of then")
    return found[0]


def tell_again(settings: Settings, sink: WebhookSink, feeds: Feeds) -> Iterator[Retold]:
    """Tell a web server its dead letters, oldest first, each once; it ends where the server cannot be reached.

    An event keeps its id, so a server that has it already can pass over it. The runner goes on beside it.
    """
    channel = Webhook(sink, settings.notify.timeout_s)
    for letter in feeds.undelivered():
        if letter.sink != sink.name:
            continue
        try:
            channel.send(notice_of(letter.event, queue_of(settings)))
        except Unreachable as error:
            yield Retold(letter, printable(str(error), 300))
            return
        except (Unacceptable, ValueError) as error:
            yield Retold(letter, printable(str(error), 300))
            continue
        feeds.forget(letter)
        yield Retold(letter, "")
