"""``python -m streamtag`` and ``streamtag``. Kept small: every decoder process imports this file."""

import sys


def main() -> None:
    from streamtag.cli import app

    sys.exit(app.main())


if __name__ == "__main__":
    main()
