"""An RTSP server whose pictures show the time: each has the milliseconds of its making burned in, as cells.

    /usr/bin/python3 tests/support/clock_server.py PORT '{"cam": {"codec": "h264", "fps": 25}}'

Run by the system's Python, which has GStreamer's bindings. ``clock_camera.py`` starts it and reads the cells.
"""

import json
import sys
import threading
import time
from typing import Any

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstApp", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, GObject, Gst, GstApp, GstRtspServer  # noqa: E402, F401

DEFAULTS: dict[str, Any] = {
    "codec": "h264",
    "width": 320,
    "height": 240,
    "fps": 25.0,
    "key_frames": 25,  # frames from one key frame to the next
    "speed": 1.0,  # of the camera's clock
    "jump_after_s": 0.0,  # when its clock jumps, once; 0 never
    "jump_s": 0.0,  # by how much
    "old_frames": 0,  # sent at once when somebody connects, from before
    "loop_s": 0.0,  # of a film encoded beforehand and sent again and again, which costs next to nothing; 0 for none
}
ENCODERS = {
    "h264": "x264enc tune=zerolatency speed-preset=ultrafast key-int-max={key_frames} bitrate=4000 ! rtph264pay pt=96",
    "h265": "x265enc tune=zerolatency speed-preset=ultrafast key-int-max={key_frames} ! rtph265pay pt=96",
    "mjpeg": "jpegenc quality=70 ! rtpjpegpay pt=26",
}
ENCODED = "video/x-h264,stream-format=byte-stream,alignment=au"
COLUMNS, ROWS = 8, 5
DARK, BRIGHT = 40, 200
CHECK = 0xA5
HOUR_NS = 3_600_000_000_000


def cells(milliseconds: int) -> list[int]:
    """32 bits of the time and 8 to check it by, as 0 and 1."""
    low = milliseconds & 0xFFFFFFFF
    check = CHECK ^ (low & 0xFF) ^ (low >> 8 & 0xFF) ^ (low >> 16 & 0xFF) ^ (low >> 24)
    word = low << 8 | check
    return [word >> (COLUMNS * ROWS - 1 - bit) & 1 for bit in range(COLUMNS * ROWS)]


class Painter:
    """Draws pictures of one size, I420. A pattern moves over the cells, so that a codec has something to do."""

    def __init__(self, width: int, height: int) -> None:
        self._width, self._height = width, height
        self._cell = width // COLUMNS
        self._grey = b"\x80" * (width // 2 * (height // 2) * 2)
        wave = bytes(abs(place * 3 % 64 - 32) for place in range(width * 2))
        self._waves = [wave.translate(bytes((value + level) % 256 for value in range(256))) for level in (DARK, BRIGHT)]

    def draw(self, milliseconds: int, number: int) -> bytes:
        shown, lines, band = cells(milliseconds), [], self._height // ROWS
        for row in range(ROWS):
            levels = shown[row * COLUMNS : (row + 1) * COLUMNS]
            shift = (number * 5 + row * 11) % self._width
            parts = [self._part(level, column, shift) for column, level in enumerate(levels)]
            line = b"".join(parts).ljust(self._width, b"\0")
            lines.append(line * (band if row < ROWS - 1 else self._height - band * (ROWS - 1)))
        return b"".join(lines) + self._grey

    def _part(self, level: int, column: int, shift: int) -> bytes:
        begin = (column * self._cell + shift) % self._width
        return self._waves[level][begin : begin + self._cell]


def raw(wanted: dict[str, Any]) -> str:
    """The capabilities of a camera's pictures."""
    rate = round(wanted["fps"] * 1000)
    return f"video/x-raw,format=I420,width={wanted['width']},height={wanted['height']},framerate={rate}/1000"


def film(wanted: dict[str, Any]) -> list[bytes]:
    """A film of pictures that show the time from its beginning, encoded: an access unit a picture."""
    encoder = ENCODERS["h264"].partition(" !")[0].format(**wanted)
    launch = f"appsrc name=source format=time caps={raw(wanted)} ! {encoder} ! {ENCODED} ! appsink name=sink sync=false"
    pipeline = Gst.parse_launch(launch)
    source, sink = pipeline.get_by_name("source"), pipeline.get_by_name("sink")
    pipeline.set_state(Gst.State.PLAYING)
    painter, units = Painter(wanted["width"], wanted["height"]), []
    for number in range(round(wanted["loop_s"] * wanted["fps"])):
        buffer = Gst.Buffer.new_wrapped(painter.draw(round(number / wanted["fps"] * 1000), number))
        buffer.pts = int(number / wanted["fps"] * Gst.SECOND)
        source.emit("push-buffer", buffer)
        content = sink.emit("pull-sample").get_buffer()  # tune=zerolatency: out comes what went in
        units.append(content.extract_dup(0, content.get_size()))
    pipeline.set_state(Gst.State.NULL)
    return units


class Camera:
    """One path of the server. Encodes once, for all who watch."""

    def __init__(self, wanted: dict[str, Any]) -> None:
        self._wanted = DEFAULTS | wanted
        source = "( appsrc name=source is-live=true format=time block=false caps={} ! queue ! {} name=pay0 )"
        self._film: list[bytes] = []
        if self._wanted["loop_s"]:
            self._film = film(self._wanted)
            launch = source.format(ENCODED, "h264parse config-interval=-1 ! rtph264pay pt=96")
        else:
            launch = source.format(raw(self._wanted), ENCODERS[self._wanted["codec"]].format(**self._wanted))
        self.factory = GstRtspServer.RTSPMediaFactory()
        self.factory.set_launch(launch)
        self.factory.set_shared(True)
        self.factory.connect("media-configure", self._configure)

    def _configure(self, _factory: Any, media: Any) -> None:
        clock = GObject.new(Gst.SystemClock)
        media.set_clock(clock)
        source = media.get_element().get_by_name("source")
        feed = self._replay if self._film else self._feed
        threading.Thread(target=feed, args=(source, clock), daemon=True).start()

    def _feed(self, source: Any, clock: Any) -> None:
        """Push a picture when its time has come, until nobody takes them."""
        wanted = self._wanted
        painter, frame_s = Painter(wanted["width"], wanted["height"]), 1 / wanted["fps"]
        began_s, number = time.time() - wanted["old_frames"] * frame_s, 0
        while True:
            due_s = began_s + number * frame_s
            time.sleep(max(0.0, due_s - time.time()))
            made_s = due_s if number < wanted["old_frames"] else time.time()
            content = painter.draw(int(made_s * 1000), number)
            shown_s = (made_s - began_s) * wanted["speed"]
            if wanted["jump_after_s"] and number * frame_s >= wanted["jump_after_s"]:
                shown_s += wanted["jump_s"]
            if not self._push(source, clock, content, shown_s):
                return
            number += 1

    def _replay(self, source: Any, clock: Any) -> None:
        """Push what was encoded, each picture when the time of day is what it shows, a whole number of turns later."""
        frame_s, group = 1 / self._wanted["fps"], self._wanted["key_frames"]
        first = number = (int(time.time() / frame_s) // group + 1) * group
        while True:
            time.sleep(max(0.0, number * frame_s - time.time()))
            content = self._film[number % len(self._film)]
            if not self._push(source, clock, content, (number - first) * frame_s):
                return
            number += 1

    def _push(self, source: Any, clock: Any, content: bytes, shown_s: float) -> bool:
        """Give the server a picture; whether somebody still takes them."""
        # GStreamer would hold a picture back until its time by the camera's clock, so that clock is ahead by far.
        internal, external, *rate = clock.get_calibration()
        clock.set_calibration(internal, external + HOUR_NS, *rate)
        buffer = Gst.Buffer.new_wrapped(content)
        buffer.pts = buffer.dts = int(shown_s * Gst.SECOND)
        buffer.duration = int(Gst.SECOND / self._wanted["fps"])
        return bool(source.emit("push-buffer", buffer) == Gst.FlowReturn.OK)


def main() -> None:
    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(sys.argv[1])
    mounts = server.get_mount_points()
    for name, wanted in json.loads(sys.argv[2]).items():
        mounts.add_factory(f"/{name}", Camera(wanted).factory)
    server.attach(None)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    GLib.MainLoop().run()


main()
