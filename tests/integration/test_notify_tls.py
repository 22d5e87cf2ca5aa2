"""Webhooks and brokers under TLS: a CA of one's own, and what a wrong certificate is answered with."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime
from pathlib import Path

import pytest
import trustme
from streamtag.notify_settings import MqttSink, WebhookSink
from streamtag.tools.notify.mqtt import Mqtt
from streamtag.tools.notify.notice import Notice, Unreachable
from streamtag.tools.notify.webhook import Webhook

from tests.support import eventually
from tests.support.mosquitto import PASSWORD, USER, Mosquitto
from tests.support.webhook_receiver import WebhookReceiver

NOTICE = Notice("7-1", {"kind": "enter", "stream": "gate", "label": {"name": "dog"}})
TIMEOUT_S = 3.0  # each refusal of a broker takes it
HERE = "127.0.0.1"
NAME_THE_CA = "name the file of the CA that signed it in tls_ca"


class Papers:
    """A CA with certificates, as files: of this host, of another, and one that has expired."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        authority = trustme.CA()
        past = datetime(2020, 1, 1, tzinfo=UTC), datetime(2021, 1, 1, tzinfo=UTC)
        self._issued = {
            "good": authority.issue_cert(HERE),
            "of another host": authority.issue_cert("elsewhere.example"),
            "expired": authority.issue_cert(HERE, not_before=past[0], not_after=past[1]),
        }
        authority.cert_pem.write_to_path(str(self.file("ours")))
        trustme.CA().cert_pem.write_to_path(str(self.file("strange")))
        self.file("no PEM").write_text("no certificate")
        for name, certificate in self._issued.items():
            certificate.private_key_and_cert_chain_pem.write_to_path(str(self.file(name)))

    def file(self, name: str) -> Path:
        return self._folder / f"{name}.pem"

    def server(self, name: str) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._issued[name].configure_cert(context)
        return context


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Papers:
    return Papers(tmp_path_factory.mktemp("papers"))


def hook(url: str, authority: Path | None) -> Webhook:
    sink = WebhookSink.model_validate({"name": "hook", "kind": "webhook", "url": url, "tls_ca": authority})
    return Webhook(sink, TIMEOUT_S)


def broker(port: int, **more: object) -> Mqtt:
    about = {"name": "home", "kind": "mqtt", "host": HERE, "port": port, "username": USER, "password": PASSWORD}
    return Mqtt(MqttSink.model_validate(about | more), TIMEOUT_S, "q")


def test_a_web_server_with_a_certificate_of_a_ca_of_ones_own_is_told(papers: Papers) -> None:
    with WebhookReceiver(tls=papers.server("good")) as receiver:
        hook(receiver.url, papers.file("ours")).send(NOTICE)
        assert [told.event_id for told in receiver.told] == ["7-1"]


@pytest.mark.parametrize(
    ("certificate", "authority", "reason"),
    [
        ("good", "strange", NAME_THE_CA),
        ("good", None, NAME_THE_CA),
        ("of another host", "ours", "certificate is not valid for '127.0.0.1'$"),
        ("expired", "ours", "certificate has expired$"),
        ("good", "no PEM", "no PEM.pem: no certificate in it"),
        ("good", "not there", "not there.pem: No such file or directory"),
    ],
)
def test_a_web_server_whose_certificate_is_not_accepted_is_told_nothing(
    papers: Papers, certificate: str, authority: str | None, reason: str
) -> None:
    with WebhookReceiver(tls=papers.server(certificate)) as receiver:
        with pytest.raises(Unreachable, match=reason):
            hook(f"{receiver.url}/s3cr3t", papers.file(authority) if authority else None).send(NOTICE)
        assert receiver.told == receiver.refused == []


def test_a_web_server_without_tls_is_named_as_such(papers: Papers) -> None:
    with WebhookReceiver() as receiver, pytest.raises(Unreachable, match="it does not speak TLS at that port"):
        hook(f"https://{HERE}:{receiver.port}/", papers.file("ours")).send(NOTICE)


def test_a_broker_with_a_certificate_of_a_ca_of_ones_own_is_told(papers: Papers, tmp_path: Path) -> None:
    with Mosquitto(tmp_path, papers.file("good")) as server:
        channel = broker(server.port, tls_ca=papers.file("ours"))
        channel.open()
        channel.send(NOTICE)
        channel.close()


@pytest.mark.parametrize(
    ("certificate", "more", "reason"),
    [
        ("good", {"tls_ca": "strange"}, NAME_THE_CA),
        ("good", {"tls": True}, NAME_THE_CA),
        ("of another host", {"tls_ca": "ours"}, "certificate is not valid for '127.0.0.1'"),
        ("good", {"tls_ca": "no PEM"}, "no PEM.pem: no certificate in it"),
        ("good", {}, "where it speaks TLS at that port, set tls or tls_ca"),
    ],
)
def test_why_a_broker_cannot_be_had_under_tls_is_said(
    papers: Papers, tmp_path: Path, certificate: str, more: dict[str, object], reason: str
) -> None:
    if "tls_ca" in more:
        more = {"tls_ca": papers.file(str(more["tls_ca"]))}
    with Mosquitto(tmp_path, papers.file(certificate)) as server:
        channel = broker(server.port, **more)
        channel.open()

        def says() -> str:
            with pytest.raises(Unreachable) as refused:
                channel.send(NOTICE)
            return str(refused.value)

        eventually(lambda: reason in says(), reason)
        channel.close()


def test_the_file_of_a_ca_may_come_later(papers: Papers, tmp_path: Path) -> None:
    """As where a volume is not there yet when a runner takes over: a sink tries on."""
    later = tmp_path / "later.pem"
    with Mosquitto(tmp_path, papers.file("good")) as server:
        channel = broker(server.port, tls_ca=later)
        channel.open()
        with pytest.raises(Unreachable, match="No such file"):
            channel.send(NOTICE)
        later.write_bytes(papers.file("ours").read_bytes())
        channel.send(NOTICE)
        channel.close()
