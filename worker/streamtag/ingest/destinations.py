"""Which addresses a source may reach, by the settings. The gate asks for each connection, after resolving its name."""

from __future__ import annotations

import ipaddress
import socket
from dataclasses import dataclass
from typing import Any

from streamtag.settings import SourceSettings

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

# What gives machines and pods of a cloud their credentials: link-local at most, these addresses at the others. The
# network policies of k8s/ let out to none of them either; a test compares.
METADATA = tuple(
    ipaddress.ip_network(network)
    for network in (
        "169.254.0.0/16",
        "100.100.100.200/32",  # Alibaba
        "168.63.129.16/32",  # Azure
        "192.0.0.192/32",  # Oracle's first cloud
        "fe80::/10",
        "fd00:ec2::/32",  # AWS: of machines (::254), and of the pods of EKS (::23)
        "fd20:ce::254/128",  # Google
        "fd00:c1::a9fe:a9fe/128",  # Oracle
        "fd00:42::42/128",  # Scaleway
        "fd00:a9fe:a9fe::1/128",  # Akamai
        "fd00:100::100:200/128",  # Alibaba
        "64:ff9b::a9fe:0/112",  # 169.254.0.0/16 as a NAT64 has it
    )
)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An address that a name resolved to, as ``socket.connect`` takes it."""

    family: socket.AddressFamily
    sockaddr: tuple[Any, ...]

    @property
    def address(self) -> Address:
        found = ipaddress.ip_address(str(self.sockaddr[0]).partition("%")[0])
        return getattr(found, "ipv4_mapped", None) or found

    @property
    def port(self) -> int:
        return int(self.sockaddr[1])


def resolve(host: str, port: int) -> list[Endpoint]:
    """The addresses of a name.

    Raises:
        OSError, UnicodeError: the name cannot be resolved now.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [Endpoint(family, sockaddr) for family, _, _, _, sockaddr in found]


class Destinations:
    """The rules of the settings."""

    def __init__(self, settings: SourceSettings) -> None:
        self._settings = settings
        self._networks: list[Network] = [ipaddress.ip_network(network, strict=False) for network in settings.networks]

    def refusal(self, endpoint: Endpoint) -> str:
        """Why this address may not be reached; empty where it may."""
        address = endpoint.address
        if self._networks:
            if not any(address in network for network in self._networks):
                return f"address {address} is not in source.networks ({', '.join(self._settings.networks)})"
        elif address.is_link_local or any(address in network for network in METADATA):
            return (
                f"{address} is a link-local or metadata address, which jobs may not reach; "
                "name its network in source.networks to allow it"
            )
        for forbidden in self._settings.forbidden:
            if _reaches(endpoint, forbidden):
                return f"{address} port {endpoint.port} is what no job may reach (source.forbidden, or Redis itself)"
        return ""


def _reaches(endpoint: Endpoint, forbidden: str) -> bool:
    """Whether an address is one of a forbidden ``host:port``, under whatever name and by whatever interface."""
    host, _, port = forbidden.rpartition(":")
    if endpoint.port != int(port):
        return False
    try:
        others = {other.address for other in resolve(host.strip("[]"), int(port))}
    except (OSError, UnicodeError):
        return False  # what cannot be resolved cannot be told apart; nor can it be reached under that name
    if endpoint.address in others:
        return True
    return _is_of_this_machine(endpoint.address) and any(_is_of_this_machine(other) for other in others)


def _is_of_this_machine(address: Address) -> bool:
    """A server here is reached by each of the machine's addresses; those, and only those, can be bound to."""
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((str(address), 0))
    except OSError:
        return False
    return True
