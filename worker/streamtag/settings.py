"""Every option of the worker, declared once. The YAML file, the environment, ``--set`` and the help derive from here.

How they are read is in ``configuration.py``.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from streamtag.core.options import (
    BatchingSettings,
    Fraction,
    Group,
    LabelName,
    Positive,
    SamplingSettings,
    SmoothingSettings,
)
from streamtag.notify_settings import NotifySettings
from streamtag.redis_settings import RedisSettings
from streamtag.view_settings import ViewSettings

# The largest picture that any worker may be set to read: 0.8 GB unpacked.
MAX_PIXELS_CEILING = 16_384 * 16_384
MAX_WATCHED_LABELS = 50


class ModelSettings(Group):
    """The network that is served."""

    name: str = Field(
        "efficientnet-lite0",
        min_length=1,
        description="A network of `streamtag models list` (xception, vgg16, ...), or the folder of a bundle.",
    )
    weights: str = Field(
        "", description="imagenet (downloaded once), a file, or random (benchmarks). Empty: the model's own choice."
    )
    cache: Path | None = Field(None, description="Folder of downloaded weights. Default: streamtag/models in ~/.cache.")
    mirror: str = Field("", description="Address of a folder to download weights from, in place of their publishers.")
    labels: Path | None = Field(
        None, description="JSON or text file of class names, where the network's own do not fit."
    )
    groups: str = Field(
        "",
        description="Unions of classes that are labels, too: a JSON file of names and their classes, wordnet (everyday "
        "groups of ImageNet's), none. Empty: the bundle's own, else wordnet where the classes are ImageNet's.",
    )
    level: Literal["auto", "leaf", "group"] = Field(
        "auto",
        description="Which labels become active: auto classes and groups, and the most exact one is told; leaf classes "
        "only; group groups, and classes that are in none.",
    )
    crop: Literal["center", "squash", "pad"] = Field(
        "center",
        description="How a frame becomes square: the central 0.875 (best accuracy), all of it squashed, or padded.",
    )


class EngineSettings(Group):
    """What runs the network, and how."""

    name: Literal["auto", "tf_graph", "tf_xla", "jax", "openvino", "null"] = Field(
        "auto",
        description="auto: the fastest here, as the worker's first start with a network measures. null: no network "
        "(benchmarks).",
    )

    @field_validator("name", mode="before")
    @classmethod
    def _null_is_a_name(cls, value: object) -> object:
        return "null" if value is None else value  # YAML reads null as nothing

    require_gpu: bool = Field(
        False, description="true: no start without a GPU that the engine can use, in place of a slow one on the CPU."
    )
    precision: Literal["auto", "float32", "bfloat16", "float16", "int8"] = Field(
        "auto",
        description="auto: the fastest whose labels are float32's; float32 where engine.name names one. int8: of a "
        "bundle that `streamtag models quantise` made.",
    )
    measure_s: float = Field(
        60.0,
        ge=0,
        le=900,
        description="Seconds that measuring the engines may take at a first start; what it finds is kept. 0: never.",
    )
    agreement_16bit: Fraction = Field(
        0.995, description="Share of pictures whose best class must be float32's, or 16 bits are not chosen."
    )
    agreement_int8: Fraction = Field(0.98, description="The same of 8-bit integers; told by the bundle.")
    buckets: list[Annotated[int, Field(ge=1, le=1024)]] | None = Field(
        None, description="Batch sizes compiled at start-up. Default 1,2,4,8 on a CPU and 1,4,16,64 on a GPU."
    )
    threads: int = Field(
        0,
        ge=0,
        description="CPU threads of one inference; 0: all that the container may use. Fewer leave cores to decoding.",
    )
    in_flight: int | None = Field(None, ge=1, le=8, description="Batches on the device at once. Default 1 CPU, 2 GPU.")


class SourceSettings(Group):
    """What jobs may read, with which limits and how patiently."""

    schemes: list[Literal["file", "http", "https", "rtsp", "rtsps", "camera"]] = Field(
        ["file", "http", "https", "rtsp", "rtsps", "camera"], description="Kinds of source that a job may name."
    )
    file_roots: list[Path] = Field([], description="Folders a job may read from; empty: any. Links are followed first.")
    networks: list[str] = Field(
        [], description="Networks (CIDR) a job may reach; empty: any but link-local and metadata addresses."
    )
    forbidden: list[Annotated[str, Field(pattern=r"^.+:[0-9]{1,5}$")]] = Field(
        [],
        description="Servers (host:port) that no job may reach, under whatever name. The worker's Redis always is one.",
    )
    credentials: Path | None = Field(
        None,
        description="Folder of the credentials that jobs may name: NAME/username, NAME/password and NAME/hosts, or a "
        "file NAME with user:password@hosts. Read at each connect.",
    )
    cage: Literal["auto", "strict", "off"] = Field(
        "auto",
        description="What the kernel forbids a decoder: auto all that it offers, strict no start without all, off.",
    )
    open_timeout_s: Positive = Field(10.0, description="Seconds to connect and find the stream.")
    read_timeout_s: Positive = Field(10.0, description="Seconds without a frame after which a source is read anew.")
    watchdog_s: Positive = Field(30.0, description="Seconds without a sign of life before a decoder is killed.")
    rtsp_transport: Literal["auto", "tcp", "udp"] = Field(
        "auto",
        description="How cameras send: auto asks for TCP, and for UDP where one refuses; that comes to any port here.",
    )
    attempts: int = Field(3, ge=1, description="Tries at a finite source that fails in a way that may pass.")
    backoff_s: Positive = Field(1.0, description="Seconds of the first back-off; doubled each time, with full jitter.")
    backoff_cap_s: Positive = Field(
        30.0, description="Seconds the back-off grows to. Live sources are retried for ever."
    )
    auth_retry_s: Positive = Field(
        60.0,
        description="Seconds, or a quarter more, between tries with a password refused twice. Cameras lock accounts.",
    )
    max_pixels: int = Field(
        8192 * 4320,
        ge=1,
        le=MAX_PIXELS_CEILING,
        description="Pixels a picture or frame may have, told from its header. Guards memory.",
    )
    memory_bytes: int = Field(
        4 * 1024**3, ge=256 * 1024**2, description="Address space of one decoder. Guards the host."
    )
    lag_budget_s: Positive = Field(
        2.0,
        description="Seconds a stream of the network may be behind its camera; beyond it goes on with the newest key "
        "frame, and the samples between are dropped (lagging).",
    )
    slots: int = Field(
        12,
        ge=2,
        le=255,
        description="Resized frames a decoder may hold ready, of each region. 268 kB each at 299 x 299.",
    )
    threads: int = Field(1, ge=1, description="Codec threads a decoder. One is the cheapest a frame.")
    frozen_s: Positive = Field(
        10.0, description="Seconds of the same picture, also encoded anew, that make a stream frozen."
    )
    black_luma: Fraction = Field(0.03, description="Mean brightness below which, for 2 s, a picture is called black.")

    @field_validator("networks")
    @classmethod
    def _networks(cls, value: list[str]) -> list[str]:
        for network in value:
            ipaddress.ip_network(network, strict=False)
        return value


class LeaseSettings(Group):
    """A worker's right to its jobs, and when others take over."""

    seconds: Positive = Field(30.0, description="Seconds after which a silent worker's jobs are taken over.")
    renew_s: Positive = Field(5.0, description="Seconds between renewals.")
    stop_after_s: Positive = Field(
        15.0, description="Seconds without a renewal after which this worker stops publishing."
    )
    reclaim_s: Positive = Field(2.0, description="Seconds between looks for jobs that others left. Redis load.")
    max_crashes: int = Field(
        5,
        ge=1,
        description="Workers that vanish while they decode a finite job, none making progress, before it is given up.",
    )

    @model_validator(mode="after")
    def _order(self) -> LeaseSettings:
        if not self.renew_s < self.stop_after_s < self.seconds:
            raise ValueError("lease times must be ordered: renew_s < stop_after_s < seconds")
        return self


class WorkerSettings(Group):
    """How much one worker does at once."""

    id: str = Field(
        "",
        pattern=r"^[A-Za-z0-9._:@-]*$",
        description="Begins this worker's name in Redis, which is new at every start; empty: the host.",
    )
    slots: Annotated[int, Field(ge=1)] | Literal["auto"] = Field(
        "auto",
        description="Jobs at once. Each costs a decoder process, about 24 MB at 1080p. auto: as many live streams as "
        "the device is found to serve, 64 jobs at most, 16 of them finite.",
    )
    commit_s: Positive = Field(
        0.25,
        description="Seconds between commits of a stream, at most: live streams wait until a batch is full. 0.1 is "
        "prompt, 0.5 is cheap.",
    )
    commit_results: int = Field(64, ge=1, description="Results that make a stream commit sooner.")
    top_k: int = Field(5, ge=1, le=100, description="Labels published a sample.")
    drain_s: Positive = Field(
        25.0, description="Seconds for finite jobs to end after SIGTERM; then they are handed back."
    )
    termination_log: Path = Field(
        Path("/dev/termination-log"),
        description="File to which a worker that ends by itself writes why, where there is such a file: Kubernetes'.",
    )


class HttpSettings(Group):
    """Metrics and health for those who watch."""

    host: str = Field(
        "127.0.0.1",
        description="Address of /metrics, /livez and /readyz. In a container 0.0.0.0, or :: where there is IPv6, too.",
    )
    port: int = Field(9108, ge=0, le=65535, description="Its port; 0: any free one, named in the log.")
    stuck_s: Positive = Field(60.0, description="Seconds without progress of a thread before /livez fails.")


class MetricsSettings(Group):
    """What is told at /metrics beside what always is."""

    labels: list[LabelName] = Field(
        [],
        max_length=MAX_WATCHED_LABELS,
        description="Labels of the network, as it calls them, whose entering, leaving and streams are counted by name, "
        "so that an alert can go by them. Three series each.",
    )

    @field_validator("labels")
    @classmethod
    def _each_once(cls, value: list[str]) -> list[str]:
        return list(dict.fromkeys(value))


class LogSettings(Group):
    """What is written to the log, and in which form."""

    level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Least severe line that is written."
    )
    format: Literal["auto", "console", "json"] = Field("auto", description="auto: console on a terminal, else JSON.")


class Settings(BaseSettings):
    """All settings, read once at start."""

    model_config = SettingsConfigDict(
        env_prefix="STREAMTAG_",
        env_nested_delimiter="__",
        extra="forbid",
        hide_input_in_errors=True,
        frozen=True,
    )

    redis: RedisSettings = RedisSettings()
    model: ModelSettings = ModelSettings()
    engine: EngineSettings = EngineSettings()
    sampling: SamplingSettings = SamplingSettings()
    smoothing: SmoothingSettings = SmoothingSettings()
    batching: BatchingSettings = BatchingSettings()
    source: SourceSettings = SourceSettings()
    lease: LeaseSettings = LeaseSettings()
    worker: WorkerSettings = WorkerSettings()
    http: HttpSettings = HttpSettings()
    metrics: MetricsSettings = MetricsSettings()
    view: ViewSettings = ViewSettings()
    notify: NotifySettings = NotifySettings()
    log: LogSettings = LogSettings()

    def guarded_source(self, servers: Sequence[str] = ()) -> SourceSettings:
        """What decoders are given: no job reaches our own Redis, nor ``servers`` (host:port) that were found of it."""
        forbidden = dict.fromkeys([*self.source.forbidden, *self.redis.addresses, *servers])
        return self.source.model_copy(update={"forbidden": list(forbidden)})

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        # ``load`` has merged the sources already, so that it can tell where each value came from.
        return (init_settings,)
