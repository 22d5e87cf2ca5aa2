"""``streamtag view``: the page to look at."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module

from streamtag.cli.common import Config, Model, Overrides, settings_from
from streamtag.errors import ConfigError
from streamtag.extras import require
from streamtag.settings import Settings

STOP_S = 5.0


def view(config: Config = None, model: Model = None, overrides: Overrides = None) -> None:
    """Serve a page that shows the streams of a queue: what each sees now, its state, and the workers.

    It reads Redis alone, so it runs anywhere. By default it is for the browsers of this machine (view.host).
    """
    settings = settings_from(config, model, None, overrides)
    require("view")
    # Packages of an extra are imported once they are known to be there.
    import_module("streamtag.view.server").serve(settings)


@contextmanager
def page_beside(settings: Settings) -> Iterator[str]:
    """Serve the page from a thread, and give its address; empty where its packages are missing."""
    try:
        require("view")
    except ConfigError:
        yield ""
        return
    page = import_module("streamtag.view.server").Page(settings)
    thread = threading.Thread(target=page.run, name="page", daemon=True)
    thread.start()
    try:
        yield page.url
    finally:
        page.stop()
        thread.join(STOP_S)
