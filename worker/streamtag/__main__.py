"""``python -m streamtag`` and ``streamtag``. Kept small: every decoder process imports this file."""

import os
import signal
import sys
from types import FrameType

INTERRUPTED = 130


def main() -> None:
    """Run the command line and leave with its exit code."""
    from streamtag.cli import standard_streams  # noqa: PLC0415 - decoder processes need no command line

    standard_streams.make_usable()
    heeded = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if heeded:
        # The imports take most of a second. A KeyboardInterrupt in them would be a page of traceback, and some of the
        # libraries turn it into an error of their own; nothing is begun yet that would have to be put in order.
        signal.signal(signal.SIGINT, _leave)
    from streamtag.cli import app  # noqa: PLC0415 - and here one may already press Ctrl-C

    if heeded:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.exit(app.main())


def _leave(_number: int, _frame: FrameType | None) -> None:
    os._exit(INTERRUPTED)


if __name__ == "__main__":
    main()
