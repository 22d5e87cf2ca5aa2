"""What a decoder process may do once it touches a stranger's bytes: read its source, speak to its gate, and no more.

Two parts of the kernel do it, both without privileges. Landlock knows files and TCP ports: only the source's files can
be opened, and only to be read; only the gate's port can be connected to. Seccomp knows system calls: no process can be
started, nothing of the file system changed, no other kind of socket opened, no other process touched. Both by kept
libraries: ``landlockpy``, and ``pyseccomp`` over the libseccomp of the system.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import functools
import math
import os
import resource
import signal
import socket
import time
from collections.abc import Iterable
from pathlib import Path

import landlockpy
from landlockpy import AccessFS, AccessNet, Ruleset, Scope

from streamtag.errors import ConfigError
from streamtag.settings import SourceSettings

try:
    import pyseccomp
except (ImportError, RuntimeError, OSError):  # the system has no libseccomp
    pyseccomp = None

_READ = AccessFS.READ_FILE | AccessFS.READ_DIR
_DEVICE = AccessFS.READ_FILE | AccessFS.WRITE_FILE | AccessFS.IOCTL_DEV
_CERTIFICATES = (
    *("/etc/ssl", "/etc/pki", "/usr/lib/ssl", "/usr/share/ca-certificates"),
    *("/usr/local/share/ca-certificates", "/etc/crypto-policies"),
)
# Where names are resolved by, and the libraries for it.
_RESOLVER = (
    *("/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf", "/etc/gai.conf", "/etc/host.conf", "/etc/services"),
    *("/etc/ld.so.cache", "/run/systemd/resolve", "/run/resolvconf", "/run/NetworkManager", "/usr", "/lib", "/lib64"),
)
_OPEN_FILES = 128
_WRITTEN_BYTES = 1_048_576  # of what is open already: the error log, which is cut far below it
_LANDLOCK_TCP = 4  # the version of Landlock's interface that knows TCP (Linux 6.7)

_PROCESSES = (
    *("execve", "execveat", "fork", "vfork", "ptrace", "process_vm_readv", "process_vm_writev", "kcmp", "kill"),
    *("tkill", "pidfd_open", "pidfd_getfd", "pidfd_send_signal", "rt_sigqueueinfo", "rt_tgsigqueueinfo"),
)
_SYSTEM = (
    *("mount", "umount2", "pivot_root", "chroot", "unshare", "setns", "open_tree", "move_mount", "fsopen", "fsmount"),
    *("fsconfig", "fspick", "mount_setattr", "bpf", "perf_event_open", "userfaultfd", "io_uring_setup"),
    *("io_uring_enter", "io_uring_register", "keyctl", "add_key", "request_key", "init_module", "finit_module"),
    *("delete_module", "kexec_load", "kexec_file_load", "reboot", "swapon", "swapoff", "acct", "quotactl", "syslog"),
    *("sethostname", "setdomainname", "settimeofday", "clock_settime", "clock_adjtime", "adjtimex", "personality"),
    *("open_by_handle_at", "name_to_handle_at", "shmget", "msgget", "semget", "mq_open"),
)
_WRITING = (
    *("creat", "truncate", "mkdir", "mkdirat", "rmdir", "unlink", "unlinkat", "rename", "renameat", "renameat2"),
    *("link", "linkat", "symlink", "symlinkat", "mknod", "mknodat", "chmod", "fchmod", "fchmodat", "chown", "fchown"),
    *("lchown", "fchownat", "utime", "utimes", "utimensat", "futimesat", "setxattr", "lsetxattr", "fsetxattr"),
    *("removexattr", "lremovexattr", "fremovexattr"),
)
_CLONE_THREAD = 0x0001_0000


@functools.cache
def landlock_version() -> int:
    """Of the kernel's Landlock interface; 0 without one."""
    try:
        return landlockpy.abi_version()
    except OSError:
        return 0


# Asked once in the fork server: the library then has found the C library, for which it starts a process.
landlock_version()


def offered() -> str:
    """What this machine has to make a cage of, in words."""
    version = landlock_version()
    return f"{f'Landlock {version}' if version else 'no Landlock'}, {'no ' if pyseccomp is None else ''}seccomp"


def missing() -> list[str]:
    """What a complete cage would need and this machine lacks."""
    found = []
    version = landlock_version()
    if version == 0:
        found.append("Landlock (Linux 5.13 with landlock among its security modules)")
    elif version < _LANDLOCK_TCP:
        found.append(f"Landlock for TCP (this kernel has version {version}, Linux 6.7 has {_LANDLOCK_TCP})")
    if pyseccomp is None:
        found.append("libseccomp (Debian's libseccomp2)")
    return found


def check(settings: SourceSettings) -> None:
    """Refuse to go on without a cage that the settings insist on.

    Raises:
        ConfigError: the settings insist on a cage that this machine cannot make.
    """
    lacking = missing()
    if settings.cage == "strict" and lacking:
        raise ConfigError(f"source.cage is strict, and this machine lacks: {'; '.join(lacking)}")


def die_with_parent() -> None:
    """Have the kernel kill this process when the one that started it is gone, however it went (``man 2 prctl``)."""
    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)


def limit_process(settings: SourceSettings) -> None:
    """Die with the parent, leave Ctrl-C to it, and stay within the memory limit."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    die_with_parent()
    resource.setrlimit(resource.RLIMIT_AS, (settings.memory_bytes, settings.memory_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def be_killed_first() -> None:
    """Where memory is short, have the kernel end this process and not its worker: one stream is then read anew."""
    with contextlib.suppress(OSError):  # a /proc that cannot be written
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")


def allow_processor_time(seconds: float) -> None:
    """Let the kernel end this process when it has computed for so long from now on. To be renewed with each progress:
    a codec that runs in a circle is ended also where the parent's watchdog is stopped or is told of progress."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_CPU)
    limit = math.ceil(time.process_time() + seconds) + 1  # the kernel counts whole seconds
    resource.setrlimit(resource.RLIMIT_CPU, (limit if hard < 0 else min(limit, hard), hard))


def confine_decoder(settings: SourceSettings, files: Iterable[Path], port: int, device: Path | None = None) -> None:
    """Close the cage around this process, for good.

    Args:
        files: what it may read; folders with all that is in them.
        port: of its gate, 0 without one.
        device: the camera that it reads.

    Raises:
        ConfigError: see ``check``.
    """
    resource.setrlimit(resource.RLIMIT_NOFILE, (_OPEN_FILES, _OPEN_FILES))
    resource.setrlimit(resource.RLIMIT_FSIZE, (_WRITTEN_BYTES, _WRITTEN_BYTES))
    if settings.cage == "off":
        return
    check(settings)
    readable = [*files, *(_CERTIFICATES if port else ())]
    _restrict_files_and_ports(readable, device, AccessNet.BIND_TCP | AccessNet.CONNECT_TCP, port)
    if pyseccomp is not None:
        rules = _forbidding(_PROCESSES + _SYSTEM + _WRITING)
        _forbid_starting_processes(rules)
        if device is None:
            _forbid_opening_for_writing(rules)
        _forbid_sockets_but_tcp(rules, allow_tcp=port > 0)
        rules.load()


def confine_gate(settings: SourceSettings) -> None:
    """The same for a gate, which needs the network and the files by which names are resolved, but nothing else.

    Raises:
        ConfigError: see ``check``.
    """
    limit_process(settings)
    if settings.cage == "off":
        return
    check(settings)
    _restrict_files_and_ports(_RESOLVER, None, AccessNet.BIND_TCP, 0)
    if pyseccomp is not None:
        rules = _forbidding(_PROCESSES + _SYSTEM + _WRITING)
        _forbid_starting_processes(rules)
        _forbid_opening_for_writing(rules)
        rules.load()


def _restrict_files_and_ports(
    readable: Iterable[str | Path], device: Path | None, handled: AccessNet, port: int
) -> None:
    if landlock_version() == 0:
        return
    scope = Scope.ABSTRACT_UNIX_SOCKET | Scope.SIGNAL
    with Ruleset(handled_net=handled, scoped=scope) as rules:
        for path in map(Path, readable):
            if path.exists():
                rules.allow_path(path, _READ if path.is_dir() else AccessFS.READ_FILE)
        if device is not None:
            rules.allow_path(device, _DEVICE)
        if port:
            rules.allow_port(port, AccessNet.CONNECT_TCP)
        rules.restrict()


def _forbidding(calls: Iterable[str]) -> pyseccomp.SyscallFilter:
    """A list of what is forbidden, not of what is allowed: the codecs' libraries need many calls, and others on each
    machine and with each version; files and network, by which harm leaves the process, are Landlock's."""
    rules = pyseccomp.SyscallFilter(pyseccomp.ALLOW)
    for call in calls:
        if pyseccomp.resolve_syscall(pyseccomp.system_arch(), call) >= 0:  # some processors do not have all
            rules.add_rule(pyseccomp.ERRNO(errno.EPERM), call)
    return rules


def _forbid_starting_processes(rules: pyseccomp.SyscallFilter) -> None:
    """Threads are wanted. The newer call hides its flags in memory, so it is as if the kernel did not have it."""
    denied = pyseccomp.ERRNO(errno.EPERM)
    rules.add_rule(denied, "clone", pyseccomp.Arg(0, pyseccomp.MASKED_EQ, _CLONE_THREAD, 0))
    rules.add_rule(pyseccomp.ERRNO(errno.ENOSYS), "clone3")
    rules.add_rule(denied, "tgkill", pyseccomp.Arg(0, pyseccomp.NE, os.getpid()))


def _forbid_opening_for_writing(rules: pyseccomp.SyscallFilter) -> None:
    """Landlock forbids it too; this holds also where there is none."""
    denied = pyseccomp.ERRNO(errno.EROFS)
    for call, flags in (("open", 1), ("openat", 2)):
        for mask, value in (
            (os.O_ACCMODE, os.O_WRONLY),
            (os.O_ACCMODE, os.O_RDWR),
            (os.O_CREAT, os.O_CREAT),
            (os.O_TRUNC, os.O_TRUNC),
        ):
            if pyseccomp.resolve_syscall(pyseccomp.system_arch(), call) >= 0:
                rules.add_rule(denied, call, pyseccomp.Arg(flags, pyseccomp.MASKED_EQ, mask, value))
    rules.add_rule(pyseccomp.ERRNO(errno.ENOSYS), "openat2")


def _forbid_sockets_but_tcp(rules: pyseccomp.SyscallFilter, allow_tcp: bool) -> None:
    denied = pyseccomp.ERRNO(errno.EACCES)
    for call in ("bind", "listen", "accept", "accept4", "socketpair"):
        rules.add_rule(denied, call)
    if not allow_tcp:
        for call in ("socket", "connect"):
            rules.add_rule(denied, call)
        return
    families = (socket.AF_INET, socket.AF_INET6)
    rules.add_rule(denied, "socket", pyseccomp.Arg(0, pyseccomp.GT, max(families)))
    for family in set(range(max(families))) - set(families):
        rules.add_rule(denied, "socket", pyseccomp.Arg(0, pyseccomp.EQ, family))
    for kind in set(range(16)) - {socket.SOCK_STREAM}:
        rules.add_rule(denied, "socket", pyseccomp.Arg(1, pyseccomp.MASKED_EQ, 0xF, kind))
