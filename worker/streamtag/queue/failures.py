"""Redis's failures in our words: what was asked, what it answered, and what to do about it."""

from __future__ import annotations

import re

from redis.exceptions import AuthenticationError, NoPermissionError, ReadOnlyError, ResponseError
from redis.sentinel import MasterNotFoundError

from streamtag.errors import AccessDenied, QueueRefused, QueueUnavailable, in_words
from streamtag.queue.address import user, uses_tls, where
from streamtag.redaction import redact
from streamtag.redis_settings import RedisSettings

# Error replies that say something about the server and not about the job that asked: they may pass.
_PASSING = {
    "BUSY": "a script runs too long there; wait, or end it with SCRIPT KILL",
    "CLUSTERDOWN": "wait until the cluster is complete again",
    "LOADING": "it is reading its data from disk; wait",
    "MASTERDOWN": "it is a replica without its master; wait, or name the master in redis.url",
    "MISCONF": "it cannot write its data to disk; see its log",
    "NOREPLICAS": "too few replicas follow it (min-replicas-to-write)",
    "OOM": "it is out of memory: raise maxmemory there, lower redis.results_maxlen, redis.events_maxlen or "
    "redis.expire_s, or run `streamtag gc`; jobs wait until there is room",
    "READONLY": "it is a replica; wait for the failover to end, or name the master in redis.url",
    "TRYAGAIN": "the cluster moves this queue's slot; wait",
    "ASK": "it is a node of a cluster; set redis.cluster: true",
    "MOVED": "it is a node of a cluster; set redis.cluster: true",
}
_CODE = re.compile(rf"(?:^|[:\s-])({'|'.join(_PASSING)})(?=\s|$)")
_NO_RIGHT = re.compile(r"no permissions? |can't run this command|can't access at least one of the keys")
_NO_DATABASE = re.compile(r"DB index is out of range|SELECT is not allowed")
_COMMAND = re.compile(r"run the '([^']+)' command")
# How TLS fails, in the words of OpenSSL, and what it asks for.
_TLS = {
    "certificate is not valid for": "its certificate names another host: use the name it has, or sign one for this",
    "Hostname mismatch": "its certificate names another host: use the name it has, or sign one for this",
    "self-signed certificate": "redis.tls_ca must be the CA that signed the server's certificate",
    "self signed certificate": "redis.tls_ca must be the CA that signed the server's certificate",
    "unable to get local issuer": "redis.tls_ca must be the CA that signed the server's certificate",
    "CERTIFICATE_VERIFY_FAILED": "redis.tls_ca must be the CA that signed the server's certificate, and still valid",
    "certificate required": "it asks for a client's certificate: set redis.tls_cert and redis.tls_key",
    "CERTIFICATE_REQUIRED": "it asks for a client's certificate: set redis.tls_cert and redis.tls_key",
    "unknown ca": "it does not know the CA of redis.tls_cert",
    "UNKNOWN_CA": "it does not know the CA of redis.tls_cert",
    "KEY_VALUES_MISMATCH": "redis.tls_key is not the key of redis.tls_cert",
    "WRONG_VERSION_NUMBER": "it does not speak TLS on that port: use its TLS port, or redis:// without redis.tls_ca",
    "record layer failure": "it does not speak TLS on that port: use its TLS port, or redis:// without redis.tls_ca",
    "NO_CERTIFICATE_OR_CRL_FOUND": "the file of redis.tls_ca holds no certificate in PEM",
    "PEM": "a file of redis.tls_ca, redis.tls_cert or redis.tls_key is no PEM",
}


class GroupMissing(QueueUnavailable):
    """The stream or its group is gone. It passes: the claims thread makes it anew."""


def in_our_words(
    error: Exception, settings: RedisSettings, command: str, of_queue: bool
) -> QueueUnavailable | QueueRefused:
    """What an exception of redis-py or of the network means.

    Args:
        command: what was asked, and of which key.
        of_queue: it concerns the queue and no single job, so no job must end for its refusal.
    """
    server = f"Redis at {where(settings)}"
    if isinstance(error, AuthenticationError):
        return AccessDenied(
            f"{server} does not let user {user(settings)!r} in: {redact(str(error)).rstrip('.')}; check "
            "redis.username and redis.password, or those in redis.url"
        )
    if isinstance(error, MasterNotFoundError):
        return _no_master(error, settings)
    if not isinstance(error, ResponseError):
        return _no_answer(error, settings, server)
    said = str(error)
    if isinstance(error, NoPermissionError) or _NO_RIGHT.search(said):
        return AccessDenied(f"{server} does not let user {user(settings)!r} {_denied(said, settings, command)}")
    if "NOGROUP " in said:  # before 7.0 a script's answer has the code within its text
        return GroupMissing(f"{server} lost the queue: deleted, flushed, or failed over without it")
    if code := _passing_code(error):
        return QueueUnavailable(f"{server} answers {code}: {_PASSING[code]}")
    if _NO_DATABASE.search(said):  # it is about the connection, and no key is there to look at
        return QueueUnavailable(f"{server} has no such database: {redact(said)}; correct the number in redis.url")
    refusal = f"{server} refuses {command}: {redact(said)}; {REMEDY}"
    return QueueUnavailable(refusal) if of_queue else QueueRefused(refusal)


REMEDY = "look at that key with redis-cli, and remove what is not Streamtag's"


def is_replica(error: Exception) -> bool:
    """Whether it is a replica that answered. Before 7.0 a script's answer has the code within its text."""
    return isinstance(error, ReadOnlyError) or (isinstance(error, ResponseError) and _passing_code(error) == "READONLY")


def _denied(said: str, settings: RedisSettings, command: str) -> str:
    name = user(settings)
    files = "or take the files of config/redis"
    if "key" in said and "access" in said:
        return f"touch the keys of {command}: let it, with ACL SETUSER {name} ~{settings.prefix}:*, {files}"
    if found := _COMMAND.search(said):
        asked = found.group(1)
        return f"run {asked.upper()} ({command}): let it, with ACL SETUSER {name} +{asked}, {files}"
    return f"run all that is in the script {command} (ACL LOG tells which command): let it, {files}"


def _no_master(error: Exception, settings: RedisSettings) -> QueueUnavailable:
    said = str(error)
    if "Authentication" in said:
        return AccessDenied(
            f"the Sentinels {', '.join(settings.sentinels)} do not let us in; check redis.sentinel_username and "
            "redis.sentinel_password"
        )
    return QueueUnavailable(
        f"no Sentinel of {', '.join(settings.sentinels)} knows a master {settings.sentinel_name!r} that is well: "
        f"wait for the failover, or check redis.sentinels and redis.sentinel_name{_tls_remedy(said)}"
    )


def _no_answer(error: Exception, settings: RedisSettings, server: str) -> QueueUnavailable:
    behind = error.__cause__ or error.__context__  # redis-py's own words repeat the address
    is_system = isinstance(behind, OSError) and behind.strerror
    said = in_words(behind if behind and is_system else error).rstrip(".") or type(error).__name__
    remedy = _tls_remedy(str(error))
    if not remedy and uses_tls(settings):
        # Under TLS 1.3 a client's certificate is looked at when the client believes itself connected already.
        remedy = "; is it running, is redis.url right, " + (
            "and does it know the CA of redis.tls_cert?"
            if settings.tls_cert
            else "is it its TLS port, and does it ask for a client's certificate (redis.tls_cert, redis.tls_key)?"
        )
    remedy = remedy or "; is it running, and is redis.url right (rediss:// where it speaks TLS)?"
    return QueueUnavailable(f"{server} cannot be reached: {redact(said)}{remedy}")


def _tls_remedy(said: str) -> str:
    return next((f"; {remedy}" for sign, remedy in _TLS.items() if sign in said), "")


def _passing_code(error: ResponseError) -> str:
    """The code of a reply that may pass, else nothing. Before 7.0 that of a script's command is within its text."""
    if error.status_code in _PASSING:
        return str(error.status_code)
    found = _CODE.search(str(error))
    return found.group(1) if found else ""
