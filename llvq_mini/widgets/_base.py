"""What every widget shares: its two homes, the notebook and the page.

In a notebook the widget is an anywidget, made when it is first shown, and its state is shared with Python.
When the book is built (environment variable LLVQ_STATIC_WIDGETS, set by book/_ext/llvq_book.py) the widget
answers with HTML: a mount node that holds the state as JSON and a static picture. The picture is what a
reader without JavaScript and a printer see; the loader of the page replaces it by the running widget.

A module is NAME.js behind _shared.js, the helpers that all need, joined as text: a browser imports nothing from
file://, and anywidget loads one file.  The same holds for the styles.  Tests: tests/test_widgets.py.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent


def _joined(name: str, suffix: str) -> str:
    return "\n".join((HERE / f"{stem}.{suffix}").read_text(encoding="utf-8") for stem in ("_shared", name))


class Widget:
    """Base of the widgets. A subclass sets `name` and `state` and writes `static_html`."""

    #: stem of the JavaScript module and of the style sheet
    name = ""

    def __init__(self, **state: Any) -> None:
        self.state: dict[str, Any] = state
        self._live: Any = None

    @classmethod
    def module(cls) -> str:
        """The widget as one ES module, which exports render({ model, el })."""
        return _joined(cls.name, "js")

    @classmethod
    def style(cls) -> str:
        """Its style sheet."""
        return _joined(cls.name, "css")

    def static_html(self) -> str:
        """The picture for readers without JavaScript: HTML, styled by the widget's own style sheet."""
        raise NotImplementedError

    def page_html(self) -> str:
        """The mount node for a page without kernel; book/_static/llvq/widget-loader.js brings it to life."""
        # "<" is escaped so that no string of the state can close the script element
        state = json.dumps(self.state, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
        return (
            f'<div class="llvq-widget" data-llvq-widget="{self.name}">'
            f'<script type="application/json">{state}</script>{self.static_html()}</div>'
        )

    def live(self) -> Any:
        """The anywidget behind this widget in a notebook, with one trait for each entry of `state`.

        Raises:
            ModuleNotFoundError: anywidget is not installed; ``pip install anywidget`` helps.
        """
        if self._live is None:
            import anywidget
            import traitlets

            kinds = {
                dict: traitlets.Dict,
                list: traitlets.List,
                bool: traitlets.Bool,
                int: traitlets.Int,
                float: traitlets.Float,
                str: traitlets.Unicode,
            }
            traits = {key: kinds[type(value)]().tag(sync=True) for key, value in self.state.items()}
            files = {"_esm": self.module(), "_css": self.style()}
            self._live = type(type(self).__name__, (anywidget.AnyWidget,), {**files, **traits})(**self.state)
        return self._live

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        if os.environ.get("LLVQ_STATIC_WIDGETS"):
            return {"text/html": self.page_html(), "text/plain": repr(self)}
        return self.live()._repr_mimebundle_(**kwargs)
