"""``python -m streamtag`` and ``streamtag``. Kept small: every decoder process imports this file."""

import sys


def main() -> None:
    """Run the command line and leave with its exit code."""
    from streamtag.cli import app

    sys.exit(app.main())


if __name__ == "__main__":
    main()
