"""The settings of ``streamtag notify``: to whom events are told. Others are in ``settings.py``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator

from streamtag.core.options import Group, Positive
from streamtag.errors import ConfigError

MAX_SINKS = 16
MAX_SECRET_BYTES = 4096
Pattern = Annotated[str, Field(min_length=1, max_length=200)]
Patterns = Annotated[list[Pattern], Field(max_length=200)]


class Sink(Group):
    """Somebody who is told of events, and of which."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,31}$", description="Under which its place is kept.")
    labels: Patterns = Field(
        [], description="Events of these labels only, and none without a label; * and ? as in file names."
    )
    streams: Patterns = Field([], description="Events of these streams only, likewise.")
    kinds: list[Literal["enter", "exit", "gap", "state", "frame_failed", "status"]] = Field(
        [], description="Kinds of events; empty: all."
    )


class WebhookSink(Sink):
    """A web server that gets a POST for each event."""

    kind: Literal["webhook"]
    url: SecretStr = Field(description="http:// or https://; a part of it may be a secret, so it is never shown.")
    secret: SecretStr = Field(SecretStr(""), description="Key of the signature (HMAC-SHA256). Secret.")
    secret_file: Path | None = Field(None, description="File with that key, in its place.")
    tls_ca: Path | None = Field(None, description="PEM file of the CA that signed its certificate.")

    @field_validator("url")
    @classmethod
    def _address(cls, value: SecretStr) -> SecretStr:
        try:
            parts = urlsplit(value.get_secret_value())
            host = (parts.hostname or "").encode("idna")  # as it is looked up; what that refuses no event can help
            known = parts.scheme in ("http", "https") and bool(host) and b" " not in host and (parts.port or 1) > 0
        except ValueError:
            known = False
        if not known:
            raise ValueError("write it as http://host/path or https://host/path")
        if "@" in parts.netloc:
            raise ValueError("a user and password in it would be sent with each event; sign them with secret instead")
        return value

    @model_validator(mode="after")
    def _one_secret(self) -> WebhookSink:
        if self.secret.get_secret_value() and self.secret_file:
            raise ValueError("choose one of secret and secret_file")
        return self


class MqttSink(Sink):
    """A broker that gets the events, what is active as retained states, and Home Assistant's discovery."""

    kind: Literal["mqtt"]
    host: str = Field(min_length=1, max_length=255, description="Host of the broker.")
    port: int = Field(1883, ge=1, le=65535, description="Its port; with TLS mostly 8883.")
    username: str = Field("", max_length=255, description="User there.")
    password: SecretStr = Field(SecretStr(""), description="Password. Secret.")
    password_file: Path | None = Field(None, description="File with it, in its place.")
    tls: bool = Field(False, description="TLS, by the system's CAs.")
    tls_ca: Path | None = Field(None, description="PEM file of the CA that signed its certificate. Means TLS.")
    prefix: str = Field("streamtag", pattern=r"^[A-Za-z0-9_./-]{1,100}$", description="Begins each topic.")
    discovery: str = Field(
        "homeassistant",
        pattern=r"^[A-Za-z0-9_/-]{0,100}$",
        description="Prefix of Home Assistant's discovery; empty: none.",
    )

    @model_validator(mode="after")
    def _one_password(self) -> MqttSink:
        if self.password.get_secret_value() and self.password_file:
            raise ValueError("choose one of password and password_file")
        return self


AnySink = Annotated[WebhookSink | MqttSink, Field(discriminator="kind")]


class NotifySettings(Group):
    """To whom `streamtag notify` tells events, and how patiently."""

    sinks: list[AnySink] = Field(
        [],
        max_length=MAX_SINKS,
        description="Webhooks and brokers, each with a name and what it wants to hear (docs/notify.md). Holds secrets.",
        json_schema_extra={"secret": True},
    )
    lease_s: float = Field(
        15.0, ge=1, le=3600, description="Seconds after which another runner goes on for one that is silent."
    )
    timeout_s: Positive = Field(10.0, description="Seconds that a sink may take for one event.")
    backoff_s: Positive = Field(1.0, description="Seconds of the first back-off; doubled each time, with full jitter.")
    backoff_cap_s: Positive = Field(60.0, description="Seconds the back-off grows to.")
    give_up_s: Positive = Field(
        3600.0, description="Seconds after an event from which on one more try that fails makes it a dead letter."
    )
    dlq_maxlen: int = Field(10_000, ge=1, description="Dead letters kept, of all sinks, about.")

    @field_validator("sinks")
    @classmethod
    def _own_names(cls, value: list[AnySink]) -> list[AnySink]:
        names = [sink.name for sink in value]
        if len(set(names)) < len(names):
            raise ValueError("two sinks have the same name, and their places are kept by it")
        return value


def secret_of(given: SecretStr, file: Path | None) -> str:
    """A secret, from where it lies; read at each use, so a new one is taken without a restart.

    Raises:
        ConfigError: the file cannot be read, or is no short text.
    """
    if file is None:
        return given.get_secret_value()
    try:
        with file.open("rb") as opened:
            content = opened.read(MAX_SECRET_BYTES + 1)
        if len(content) > MAX_SECRET_BYTES:
            raise ConfigError(f"{file}: more than {MAX_SECRET_BYTES} bytes are no secret")
        return content.decode().strip("\r\n")
    except OSError as error:
        raise ConfigError(f"{file}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{file}: no UTF-8 text") from None
