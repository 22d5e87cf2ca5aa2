"""The settings of the queue's Redis: where it is, who we are there, what it keeps. Others are in ``settings.py``."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

from pydantic import Field, SecretStr, model_validator

from streamtag.core.options import Fraction, Group, Positive

# IPv6 in brackets: [::1]:26379.
HostPort = Annotated[str, Field(pattern=r"^(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):[0-9]{1,5}$")]


class RedisSettings(Group):
    """The queue: where it is and what it keeps."""

    url: SecretStr = Field(
        SecretStr("redis://127.0.0.1:6379/0"),
        description="redis://, rediss:// (TLS) or unix://. Secret: put the password in the environment.",
    )
    host: str = Field("", description="Host of the server, in place of the URL's.")
    port: int | None = Field(None, ge=1, le=65535, description="Its port, in place of the URL's.")
    username: str = Field("", description="User of the server's ACL (config/redis), in place of the URL's.")
    password: SecretStr = Field(SecretStr(""), description="Its password as it is, in place of the URL's. Secret.")
    tls_ca: Path | None = Field(None, description="PEM file of the CA that signed the server's certificate. Means TLS.")
    tls_cert: Path | None = Field(None, description="PEM file of our own certificate, where the server asks for one.")
    tls_key: Path | None = Field(None, description="PEM file of its key.")
    sentinels: list[HostPort] = Field(
        [], description="host:port of each Sentinel, which then name the server in place of redis.url and redis.host."
    )
    sentinel_name: str = Field("mymaster", min_length=1, description="What the Sentinels call the master.")
    sentinel_username: str = Field("", description="User of the Sentinels' own ACL, where they have one.")
    sentinel_password: SecretStr = Field(SecretStr(""), description="Password of the Sentinels themselves. Secret.")
    cluster: bool = Field(
        False, description="The server is a node of a cluster; a queue (model and shard) lies on one of its masters."
    )
    cluster_nodes: list[HostPort] = Field(
        [], description="host:port of more nodes of the cluster, to be asked at the start when redis.url is away."
    )
    prefix: str = Field("st", pattern=r"^[A-Za-z0-9_.-]+$", description="Begins every key; lets fleets share a server.")
    shard: int = Field(
        0, ge=0, description="Number of this queue among those of one model. More shards spread a cluster."
    )
    timeout_s: Positive = Field(10.0, description="Seconds for one reply. Lower notices a dead server sooner.")
    start_s: Positive = Field(
        60.0, description="Seconds that a worker waits for the server at its start, before it ends with exit code 3."
    )
    queue_cap: int = Field(100_000, ge=1, description="Jobs waiting and running above which submit refuses.")
    memory_share: Fraction = Field(
        0.9,
        gt=0,
        description="Share of the server's maxmemory above which no new jobs are submitted or taken; 1: never.",
    )
    results_maxlen: int = Field(
        100_000,
        ge=1,
        description="Results kept of a live job, about 0.5 kB each. Of a finite job all are kept, until they expire.",
    )
    results_max_age_s: float | None = Field(
        None,
        gt=0,
        description="Seconds for which results of a live job are kept, about; null: as long as there are not too many.",
    )
    events_maxlen: int = Field(100_000, ge=1, description="Events kept for all jobs of the shard, about.")
    dlq_maxlen: int = Field(10_000, ge=1, description="Dead letters kept, about.")
    expire_s: int = Field(86_400, ge=1, description="Seconds that a finished job and its results stay readable.")

    @property
    def addresses(self) -> list[str]:
        """host:port of every server that these settings name."""
        named = [*self.sentinels, *self.cluster_nodes]
        scheme, _, rest = self.url.get_secret_value().partition("://")
        if scheme == "unix" and not self.host:
            return named
        host, port = "127.0.0.1", "6379"
        # From the last "@" on: a password may hold anything.
        if scheme != "unix" and (found := re.match(r"(\[[^]]*\]|[^:/?]*)(?::(\d+))?", rest.rpartition("@")[2])):
            host, port = found[1] or host, found[2] or port
        return [*named, f"{self.host or host}:{self.port or port}"]

    @model_validator(mode="after")
    def _one_way_to_the_server(self) -> RedisSettings:
        if self.sentinels and self.cluster:
            raise ValueError("choose one of redis.sentinels and redis.cluster: a cluster has no Sentinels")
        if self.cluster_nodes and not self.cluster:
            raise ValueError("redis.cluster_nodes are read with redis.cluster: true only")
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("redis.tls_cert and redis.tls_key go together")
        return self
