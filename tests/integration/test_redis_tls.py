"""Redis under TLS, with certificates on both sides, and what a wrong one is answered with."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import trustme
from streamtag.errors import ConfigError, QueueUnavailable

from tests.contract.sides import Queue
from tests.support import RedisServer, Worker, redis_binaries, run_cli, settings_for, start_worker
from tests.support.worker_process import NULL


@dataclass(frozen=True)
class Certificates:
    """A CA, and a server's and a client's certificate of it, as files."""

    folder: Path

    @property
    def ca(self) -> str:
        return str(self.folder / "ca.pem")

    def of(self, name: str) -> dict[str, str]:
        """Settings of a client with that certificate."""
        return {"redis.tls_cert": f"{self.folder / name}.pem", "redis.tls_key": f"{self.folder / name}.key"}


def write(folder: Path, authority: trustme.CA, names: dict[str, str]) -> Certificates:
    """Files of an authority's certificate, and of one for each name with its host."""
    folder.mkdir(exist_ok=True)
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    for name, host in names.items():
        certificate = authority.issue_cert(host)
        certificate.private_key_pem.write_to_path(str(folder / f"{name}.key"))
        for number, pem in enumerate(certificate.cert_chain_pems):
            pem.write_to_path(str(folder / f"{name}.pem"), append=number > 0)
    return Certificates(folder)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    names = {"server": "127.0.0.1", "client": "worker.example"}
    return write(tmp_path_factory.mktemp("certificates"), trustme.CA(), names)


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Of a CA that the server does not know."""
    return write(tmp_path_factory.mktemp("stranger"), trustme.CA(), {"client": "stranger.example"})


@pytest.fixture(scope="module")
def server(certificates: Certificates, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    files = certificates.of("server")
    tls = ["--tls-cert-file", files["redis.tls_cert"], "--tls-key-file", files["redis.tls_key"]]
    tls += ["--tls-ca-cert-file", certificates.ca, "--tls-auth-clients", "yes", "--tls-port", "{port}", "--port", "0"]
    own = certificates.of("client")
    url = (
        f"rediss://127.0.0.1:{{port}}/0?ssl_ca_certs={certificates.ca}"
        f"&ssl_certfile={own['redis.tls_cert']}&ssl_keyfile={own['redis.tls_key']}"
    )
    folder = tmp_path_factory.mktemp("redis-tls")
    with RedisServer(redis_binaries()[0], folder, *tls, url=url) as found:
        yield found


def address(server: RedisServer, scheme: str = "rediss", host: str = "127.0.0.1") -> str:
    return f"{scheme}://{host}:{server.port}/0"


def test_both_sides_show_their_certificates(server: RedisServer, certificates: Certificates) -> None:
    queue = Queue(address(server), **{"redis.tls_ca": certificates.ca} | certificates.of("client"))
    assert queue.submit() == "queued"
    queue.connection.close()


def test_a_ca_means_tls_whatever_the_url_says(server: RedisServer, certificates: Certificates) -> None:
    """Host and port apart, as a deployment gives them, and nothing about encryption in the URL."""
    apart = {"redis.host": "127.0.0.1", "redis.port": server.port, "redis.tls_ca": certificates.ca}
    queue = Queue("redis://unused.invalid", **apart | certificates.of("client"))
    assert queue.submit() == "queued"
    queue.connection.close()


def test_a_worker_works_under_tls(
    server: RedisServer, certificates: Certificates, workers: list[Worker], clip: Path
) -> None:
    own = {name.replace(".", "__"): value for name, value in certificates.of("client").items()}
    settings = settings_for(server, redis__url=address(server), redis__tls_ca=certificates.ca, **own)
    start_worker(workers, settings, *NULL)
    done = run_cli(settings, "submit", str(clip), "--wait", "--json")
    assert done.returncode == 0, done.stderr


def test_each_fault_of_a_certificate_names_its_remedy(
    server: RedisServer, certificates: Certificates, stranger: Certificates
) -> None:
    good = {"redis.tls_ca": certificates.ca} | certificates.of("client")
    faults: list[tuple[str, dict[str, str], str]] = [
        ("unknown CA", good | {"redis.tls_ca": stranger.ca}, r"redis\.tls_ca must be the CA"),
        ("no certificate", {"redis.tls_ca": certificates.ca}, r"asks? for a client's certificate.*redis\.tls_cert"),
        (
            "a stranger's",
            good | stranger.of("client"),
            r"know the CA of redis\.tls_cert",
        ),
        (
            "another's key",
            good | {"redis.tls_key": stranger.of("client")["redis.tls_key"]},
            r"redis\.tls_key is not the key of redis\.tls_cert",
        ),
        ("no PEM", good | {"redis.tls_ca": str(Path(__file__))}, "no certificate in PEM"),
    ]
    for what, values, remedy in faults:
        with pytest.raises(QueueUnavailable) as told:
            Queue(address(server), **values).submit()
        assert re.search(remedy, str(told.value)), f"{what}: {told.value}"


def test_another_host_than_the_certificate_names_is_refused(server: RedisServer, certificates: Certificates) -> None:
    queue = Queue(address(server, host="localhost"), **{"redis.tls_ca": certificates.ca} | certificates.of("client"))
    with pytest.raises(QueueUnavailable, match="its certificate names another host"):
        queue.submit()


def test_tls_to_a_plain_port_and_plain_to_a_tls_port_are_told(
    server: RedisServer, redis_server: RedisServer, certificates: Certificates
) -> None:
    with pytest.raises(QueueUnavailable, match=r"not speak TLS on that port|is it its TLS port"):
        Queue(address(redis_server), **{"redis.tls_ca": certificates.ca}).submit()
    with pytest.raises(QueueUnavailable, match="rediss://"):
        Queue(address(server, "redis")).submit()


def test_a_file_that_is_not_there_is_named_before_anything_is_asked(server: RedisServer) -> None:
    with pytest.raises(ConfigError, match=r"redis\.tls_ca: no such file: /nowhere/ca\.pem"):
        Queue(address(server), **{"redis.tls_ca": "/nowhere/ca.pem"})
    with pytest.raises(ConfigError, match="go together"):
        Queue(address(server), **{"redis.tls_cert": "/nowhere/client.pem"})
