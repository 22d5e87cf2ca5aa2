"""Real servers and processes for the tests, one noun a file; each is ended by its own id."""

from tests.support.command_line import environment, json_lines, run_cli
from tests.support.configuration import settings_for
from tests.support.ports import free_port
from tests.support.redis_server import RedisServer, redis_binaries
from tests.support.rtsp import RtspServer
from tests.support.waiting import LIMIT_S, eventually
from tests.support.worker_process import NULL, Worker, start_worker

__all__ = [
    "LIMIT_S",
    "NULL",
    "RedisServer",
    "RtspServer",
    "Worker",
    "environment",
    "eventually",
    "free_port",
    "json_lines",
    "redis_binaries",
    "run_cli",
    "settings_for",
    "start_worker",
]
