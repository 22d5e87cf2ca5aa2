"""Debian's podman and buildah without a daemon, with a store, limits and networks of the tests' own."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import platformdirs

ROOT = Path(__file__).parents[2]
MIRROR = "http://deb.debian.org/debian"
# As Debian's slim images do it.
SLIM = tuple(
    f"path-{rule}=/usr/share/{path}"
    for rule, path in (
        *(("exclude", "doc/*"), ("include", "doc/*/copyright"), ("exclude", "man/*")),
        *(("exclude", "locale/*"), ("exclude", "info/*")),
    )
)
# They have no Perl, which is here for what merged /usr, once.
PERL = (
    "perl",
    "perl-modules-5.36",
    "libperl5.36",
    "libfile-find-rule-perl",
    "libnumber-compare-perl",
    "libtext-glob-perl",
)
GONE = " ".join(f"{package}-" for package in ("usrmerge", *PERL, "libgdbm6", "libgdbm-compat4"))
HOOKS = (f'chroot "$1" apt-get install --yes --purge usr-is-merged {GONE}',)
# What a cluster allows a container, and what this machine may give: runc cannot raise limits in every sandbox.
CONFIGURATION = """\
[containers]
default_ulimits = ["nofile=4096:4096", "nproc=4096:4096"]
log_driver = "k8s-file"
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
[network]
network_backend = "netavark"
network_config_dir = "{folder}/networks"
"""
STORAGE = """\
[storage]
driver = "overlay"
graphroot = "{folder}/storage"
runroot = "/run/streamtag-image-{user}"
"""
LOCKED = ("--read-only", "--user=10001", "--cap-drop=all", "--security-opt=no-new-privileges")


def cache_folder() -> Path:
    """Where images are kept from one run to the next."""
    return platformdirs.user_cache_path("streamtag") / "image"


class Containers:
    """Builds images and runs containers. What it built is kept; what it ran, each test removes."""

    def __init__(self) -> None:
        self._folder = cache_folder()
        self._folder.mkdir(parents=True, exist_ok=True)
        for name, text in (("containers.conf", CONFIGURATION), ("storage.conf", STORAGE)):
            (self._folder / name).write_text(text.format(folder=self._folder, user=os.getuid()), encoding="utf-8")
        self.env = os.environ | {
            "CONTAINERS_CONF": str(self._folder / "containers.conf"),
            "CONTAINERS_STORAGE_CONF": str(self._folder / "storage.conf"),
        }

    def __call__(
        self, *command: str, limit_s: float = 120, check: bool = True, both: bool = False, cwd: Path | None = None
    ) -> str:
        """What a command says on its standard output, or on ``both``; where it fails, they are the error."""
        ran = self._run(command, limit_s, cwd)
        assert ran.returncode == 0 or not check, f"{' '.join(command)}\n{ran.stdout[-6000:]}{ran.stderr[-6000:]}"
        return (ran.stdout + (ran.stderr if both else "")).strip()

    def succeeds(self, *command: str, limit_s: float = 120) -> bool:
        return self._run(command, limit_s, None).returncode == 0

    def _run(self, command: Sequence[str], limit_s: float, cwd: Path | None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            env=self.env,
            cwd=cwd or self._folder,  # where memory runs out, podman's monitor leaves a file where it is
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=limit_s,
            check=False,
        )

    def podman(self, *arguments: str, limit_s: float = 120, check: bool = True) -> str:
        return self("podman", *arguments, limit_s=limit_s, check=check)

    def has(self, image: str) -> bool:
        return bool(self.podman("images", "--quiet", image))

    def base(self) -> str:
        """A stand-in for the base image of the Dockerfile: the same Debian, from the same packages.

        It has certificates already, since this machine's own are mounted over them where something is downloaded.
        """
        with self._alone():
            return self._made("base", "FROM scratch\nADD base.tar /\n", self._write_base)

    def _write_base(self, folder: Path) -> None:
        options = [*(f"--dpkgopt={option}" for option in SLIM), *(f"--customize-hook={hook}" for hook in HOOKS)]
        made = str(folder / "base.tar")
        variant = ("--variant=minbase", "--include=ca-certificates", '--aptopt=Apt::Install-Recommends "false"')
        self("mmdebstrap", *variant, *options, "bookworm", made, MIRROR, limit_s=900)

    def redis(self) -> str:
        """A stand-in for the image of Redis, with Debian's: under the name that manifests call it."""
        recipe = (
            "FROM {base}\n"
            "RUN apt-get update && apt-get install --yes --no-install-recommends redis-server"
            " && rm -rf /var/lib/apt/lists/* && mkdir /data && chown 999:999 /data\n"
            "USER 999\nWORKDIR /data\nVOLUME /data\n"
            'ENTRYPOINT ["/bin/sh", "-c", "case $0 in -*) exec redis-server $0 $@;; *) exec $0 $@;; esac"]\n'
            'CMD ["redis-server"]\n'
        )
        base = self.base()
        with self._alone():
            made = self._made("redis", recipe.format(base=base))
            self.podman("tag", made, "docker.io/library/redis:7.4")
        return "docker.io/library/redis:7.4"

    def streamtag(self) -> str:
        """The image of the worker, by the real Dockerfile."""
        base = self.base()
        with self._alone():
            version = self("git", "-C", str(ROOT), "rev-parse", "HEAD")
            arguments = {"BASE": base, "VERSION": "0.0.0-test", "REVISION": version}
            self.build("localhost/streamtag:test", ROOT, arguments, limit_s=2400)
        return "localhost/streamtag:test"

    def build(self, image: str, folder: Path, arguments: Mapping[str, str], *, limit_s: float) -> None:
        """By the Dockerfile in a folder. This machine's certificates and pip's settings are seen, and not kept."""
        mounted = [path for path in ("/etc/ssl/certs/ca-certificates.crt", "/etc/pip.conf") if Path(path).is_file()]
        self(
            *("buildah", "bud", "--isolation=chroot", "--pull-never", "--layers", f"--tag={image}"),
            *(f"--volume={path}:{path}:ro" for path in mounted),
            *(f"--build-arg={name}={value}" for name, value in arguments.items()),
            str(folder),
            limit_s=limit_s,
        )

    def _made(self, name: str, recipe: str, prepare: Any = None) -> str:
        """An image, built unless it is there: its tag is of its recipe."""
        tag = hashlib.sha256("".join((recipe, *SLIM, *HOOKS)).encode()).hexdigest()[:12]
        image = f"localhost/streamtag-test-{name}:{tag}"
        if not self.has(image):
            folder = self._folder / f"{name}-{tag}"
            folder.mkdir(exist_ok=True)
            if prepare:
                prepare(folder)
            (folder / "Dockerfile").write_text(recipe, encoding="utf-8")
            self.build(image, folder, {}, limit_s=600)
            shutil.rmtree(folder)
        return image

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """One builds at a time, of all that run on this machine."""
        with (self._folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    @contextmanager
    def mounted(self, image: str) -> Iterator[Path]:
        """The files of an image."""
        path = self.podman("image", "mount", image)
        try:
            yield Path(path)
        finally:
            self.podman("image", "unmount", image)

    @contextmanager
    def running(self, image: str, *command: str, options: Sequence[str] = ()) -> Iterator[Container]:
        """A container on this machine's network, locked up as a cluster locks it."""
        identity = self.podman("run", "--detach", "--network=host", *LOCKED, *options, image, *command)
        try:
            yield Container(self, identity)
        finally:
            self.podman("rm", "--force", "--time=0", "--volumes", identity)


class Container:
    """A container that was started."""

    def __init__(self, containers: Containers, identity: str) -> None:
        self._containers = containers
        self._podman = containers.podman
        self.identity = identity

    @property
    def state(self) -> dict[str, Any]:
        return self.inspect("State")

    def inspect(self, path: str) -> dict[str, Any]:
        """A part of what podman knows of it."""
        found: dict[str, Any] = json.loads(self._podman("inspect", f"--format={{{{json .{path}}}}}", self.identity))
        return found

    @property
    def log(self) -> str:
        return self._containers("podman", "logs", self.identity, both=True)

    def cgroup(self, controller: str) -> Path:
        """The folder of its control group."""
        for line in Path(f"/proc/{self.state['Pid']}/cgroup").read_text(encoding="utf-8").splitlines():
            _, names, path = line.split(":", 2)
            if controller in names.split(","):
                return Path("/sys/fs/cgroup") / controller / path.lstrip("/")
            if not names:
                unified = Path("/sys/fs/cgroup") / path.lstrip("/")
        return unified

    def changed(self) -> list[str]:
        """What was added, changed or removed outside of volumes, by ``podman diff``."""
        return self._podman("diff", self.identity).splitlines()

    def run(self, *command: str) -> str:
        """What a command in it says; nothing where it has ended."""
        return self._podman("exec", self.identity, *command, check=False)

    def start(self, *command: str) -> subprocess.Popen[str]:
        """A process in it, which can be spoken to."""
        return subprocess.Popen(
            ["podman", "exec", "--interactive", self.identity, *command],
            env=self._containers.env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def signal(self, name: str) -> None:
        self._podman("kill", f"--signal={name}", self.identity)

    def wait(self, limit_s: float = 60) -> int:
        """Its exit code, once it has ended."""
        return int(self._podman("wait", self.identity, limit_s=limit_s))
