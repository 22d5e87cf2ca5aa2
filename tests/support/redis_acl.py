"""The users of ``config/redis`` on a server of the test's own."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from tests.support.redis_server import RedisServer

FOLDER = Path(__file__).parent.parent.parent / "config" / "redis"
ROLES = ("worker", "producer", "reader", "exporter", "notifier")
ADMIN_URL = "redis://admin:admin@127.0.0.1:{port}/0"
OURS = "st:{m.0}"

# What nobody but an administrator may do.
ADMINISTRATION = [
    "FLUSHALL",
    "FLUSHDB",
    "KEYS *",
    "CONFIG GET *",
    "CONFIG SET maxmemory 1",
    "ACL LIST",
    "ACL SETUSER x on nopass ~* +@all",
    "CLIENT LIST",
    "CLIENT KILL TYPE normal",
    "SCRIPT FLUSH",
    "FUNCTION FLUSH",
    "MONITOR",
    "SAVE",
    "BGREWRITEAOF",
    "REPLICAOF NO ONE",
    "MIGRATE 127.0.0.1 1 key 0 1",
    "SWAPDB 0 1",
    "MODULE LIST",
    "SLOWLOG GET",
    "PUBLISH channel x",
    "SUBSCRIBE channel",
]
# Of somebody else on the same server.
FOREIGN = ["GET other:key", "HGETALL other:key", "XRANGE other:key - +", "XADD other:key * a b", "DEL other:key"]
DENIED = {
    "worker": [f"RESTORE {OURS}:res:j 0 x", f"COPY {OURS}:events {OURS}:x", f"RENAME {OURS}:jobs {OURS}:x"],
    "producer": [
        f"XREADGROUP GROUP workers me STREAMS {OURS}:jobs >",
        f"XCLAIM {OURS}:jobs workers me 0 1-1",
        f"XGROUP CREATE {OURS}:jobs other 0",
        f"XDEL {OURS}:res:j 1-1",
        f"XDEL {OURS}:events 1-1",
        f"XADD {OURS}:res:j * result x",
        f"XADD {OURS}:dlq * reason x",
        f"HSET {OURS}:jobs a b",
        f"DEL {OURS}:job:j",
        f"SET {OURS}:job:j x",
        f"EVAL return(redis.call('XDEL',KEYS[1],'1-1')) 1 {OURS}:res:j",
        "EVAL return(redis.call('FLUSHALL')) 0",
        "EVAL return(redis.call('GET','other:key')) 0",
    ],
    "reader": [
        f"XRANGE {OURS}:jobs - +",
        f"XREAD STREAMS {OURS}:jobs 0",
        f"XADD {OURS}:jobs * job x",
        f"XADD {OURS}:events * event x",
        f"XDEL {OURS}:res:j 1-1",
        f"HSET {OURS}:job:j status done",
        f"EXPIRE {OURS}:job:j 1",
        f"DEL {OURS}:job:j",
        f"SET {OURS}:job:j x",
        "EVAL return(1) 0",
        "EVALSHA 0 0",
    ],
    "exporter": [
        f"XREAD STREAMS {OURS}:jobs 0",
        f"XRANGE {OURS}:res:j - +",
        f"XRANGE {OURS}:dlq - +",
        f"HGETALL {OURS}:job:j",
        f"XADD {OURS}:jobs * job x",
        f"XDEL {OURS}:dlq 1-1",
        f"SET {OURS}:worker:w x",
        "EVAL return(1) 0",
    ],
    "notifier": [
        f"XRANGE {OURS}:jobs - +",
        f"XRANGE {OURS}:res:j - +",
        f"HGETALL {OURS}:job:j",
        f"GET {OURS}:worker:w",
        f"XADD {OURS}:events * event x",
        f"XDEL {OURS}:events 1-1",
        f"EVAL return(redis.call('XADD',KEYS[1],'*','event','x')) 1 {OURS}:events",
        "EVAL return(redis.call('GET','other:key')) 0",
    ],
}


def password(role: str) -> str:
    return f"the {role}'s"


def lines(*roles: str) -> list[str]:
    """The files as somebody installs them: the hash of a password in the place that is kept for it."""
    found = []
    for role in roles:
        text = (FOLDER / f"{role}.acl").read_text(encoding="utf-8")
        digest = hashlib.sha256(password(role).encode()).hexdigest()
        found.append(text.replace(f"#SHA256-OF-THE-{role.upper()}-PASSWORD", f"#{digest}").strip())
    return found


def granted(role: str) -> set[str]:
    """Every command that the file names, for whichever keys."""
    return set(re.findall(r"\+([a-z|]+)", (FOLDER / f"{role}.acl").read_text(encoding="utf-8")))


def server_with_users(executable: str, folder: Path, *roles: str) -> RedisServer:
    """A server whose users are an admin for the test and those of the roles; nobody else is let in."""
    path = folder / "users.acl"
    users = ["user default off", "user admin on >admin ~* &* +@all", *lines(*roles)]
    path.write_text("\n".join(users) + "\n", encoding="utf-8")
    return RedisServer(executable, folder, "--aclfile", str(path), url=ADMIN_URL)
