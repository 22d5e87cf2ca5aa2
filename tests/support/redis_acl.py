"""The users of ``config/redis`` on a server of the test's own."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from tests.support.redis_server import RedisServer

FOLDER = Path(__file__).parent.parent.parent / "config" / "redis"
ROLES = ("worker", "producer", "reader")
ADMIN_URL = "redis://admin:admin@127.0.0.1:{port}/0"


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
