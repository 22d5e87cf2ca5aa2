"""A real RTSP server: GStreamer's, with a moving test picture. Run by the system's Python, which has its bindings.

    /usr/bin/python3 tests/support/gstreamer_server.py [--size WIDTHxHEIGHT] [--digest] PORT [USER PASSWORD]

Paths: /ball (H.264, 10 frames a second, moving), /black, /still, /hung (one picture, encoded again and again under rate
control), /udp (over UDP only); of one with a user only /secret, for that user.
"""

import argparse
import sys
from typing import Any

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtsp", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtsp, GstRtspServer  # noqa: E402

PICTURES = "video/x-raw,width={width},height={height},framerate=10/1"
MOVING = "videotestsrc is-live=true pattern={pattern} ! " + PICTURES
HUNG = "videotestsrc num-buffers=1 pattern={pattern} ! " + PICTURES + " ! imagefreeze is-live=true"
ENCODED = (
    "( {pictures} ! x264enc tune=zerolatency speed-preset=ultrafast key-int-max=10 bitrate=400 "
    "! rtph264pay name=pay0 pt=96 )"
)
BALL = "ball background-color=0xff406080"
PATTERNS = {"ball": BALL, "black": "black", "still": "smpte75", "udp": BALL}


def factory(pattern: str, size: str, pictures: str = MOVING) -> Any:
    found = GstRtspServer.RTSPMediaFactory()
    width, _, height = size.partition("x")
    found.set_launch(ENCODED.format(pictures=pictures.format(pattern=pattern, width=width, height=height)))
    found.set_shared(True)
    return found


def protect(server: Any, found: Any, pair: list[str], digest: bool) -> None:
    auth = GstRtspServer.RTSPAuth()
    token = GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", "viewer")
    if digest:
        auth.set_supported_methods(GstRtsp.RTSPAuthMethod.DIGEST)
        auth.add_digest(*pair, token)
    else:
        auth.add_basic(GstRtspServer.RTSPAuth.make_basic(*pair), token)
    server.set_auth(auth)
    permissions = GstRtspServer.RTSPPermissions()
    permissions.add_permission_for_role("viewer", "media.factory.access", True)
    permissions.add_permission_for_role("viewer", "media.factory.construct", True)
    found.set_permissions(permissions)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--size", default="320x240")
    parser.add_argument("--digest", action="store_true")
    parser.add_argument("port")
    parser.add_argument("credentials", nargs="*")
    options = parser.parse_args()
    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(options.port)
    mounts = server.get_mount_points()
    found = {name: factory(pattern, options.size) for name, pattern in PATTERNS.items()}
    found["hung"] = factory("smpte", options.size, HUNG)
    found["udp"].set_protocols(GstRtsp.RTSPLowerTrans.UDP)
    if options.credentials:
        found = {"secret": found["ball"]}
        protect(server, found["secret"], options.credentials, options.digest)
    for name, one in found.items():
        mounts.add_factory(f"/{name}", one)
    server.attach(None)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    GLib.MainLoop().run()


main()
