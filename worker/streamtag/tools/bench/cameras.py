"""Cameras of a bench's own: a film as MPEG-TS over HTTP, as fast as it was filmed and over and over again.

A process of its own, ``python -m streamtag.tools.bench.cameras FILM``, since what it does is no work of the worker that
is measured. Each connection is a camera that has just been switched on.
"""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import av

from streamtag.errors import StreamtagError
from streamtag.ingest.cage import die_with_parent
from streamtag.tools.bench.film import draw

SECONDS = 8  # of the film
_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: video/mp2t\r\nConnection: close\r\n\r\n"


@contextmanager
def cameras(size: tuple[int, int], fps: int) -> Iterator[str]:
    """Start them; each connection to the URL is one. Before any thread is: a fork takes only its own along.

    Args:
        size: width and height, pixels.

    Raises:
        StreamtagError: they do not start.
    """
    with TemporaryDirectory(prefix="streamtag-") as folder:
        film = Path(folder) / "camera.mp4"
        draw(film, SECONDS, size, fps, b_frames=False)
        command = [sys.executable, "-m", "streamtag.tools.bench.cameras", str(film)]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, preexec_fn=die_with_parent, start_new_session=True
        ) as process:
            assert process.stdout is not None
            port = process.stdout.readline().strip()
            try:
                if not port:
                    raise StreamtagError("the cameras of this bench did not start")
                yield f"http://127.0.0.1:{port}/camera.ts"
            finally:
                process.terminate()


def main(film: str) -> None:
    """Serve until somebody ends us."""
    with socket.create_server(("127.0.0.1", 0), backlog=128) as server:
        sys.stdout.write(f"{server.getsockname()[1]}\n")
        sys.stdout.flush()
        while True:
            connection, _ = server.accept()
            threading.Thread(target=_serve, args=(connection, film), daemon=True).start()


def _serve(connection: socket.socket, film: str) -> None:
    # Whoever reads may go away at any time, which PyAV tells as an error of its own.
    with suppress(OSError, av.FFmpegError), connection, connection.makefile("wb", buffering=0) as file:
        connection.recv(65536)
        connection.sendall(_ANSWER)
        # Each picture at once: left to itself, the muxer fills a buffer first.
        with (
            av.open(film) as source,
            av.open(file, "w", format="mpegts", container_options={"fflags": "+flush_packets", "muxdelay": "0"}) as out,
        ):
            _play(source, out)


def _play(source: av.container.InputContainer, out: av.container.OutputContainer) -> None:
    video = source.streams.video[0]
    assert video.time_base is not None
    assert video.duration is not None
    sent = out.add_stream_from_template(video)
    began_s, played = time.monotonic(), 0
    while True:
        for packet in source.demux(video):
            if packet.dts is None or packet.pts is None:
                continue  # the end
            packet.dts, packet.pts, packet.stream = packet.dts + played, packet.pts + played, sent
            due_s = began_s + float(packet.dts * video.time_base)
            time.sleep(max(0.0, due_s - time.monotonic()))
            out.mux(packet)
        played += video.duration
        source.seek(0)


if __name__ == "__main__":
    main(sys.argv[1])
