"""Interactive figures: one JavaScript module each, live in Jupyter, kernel-free on a page of the book.

    DistortionBitrate    measured distortion of the codes against their rate, with the limits

A widget is three files: NAME.js, an ES module that ends with ``export default { render };`` (the form that
anywidget loads), NAME.css, and NAME.py, which gives it its data and a static picture. `_base.Widget` shows
the module through anywidget in a notebook, and as plain HTML for the loader in book/_static/llvq/ when the
book is built. Nothing here imports anywidget before a widget is shown. Tests: tests/test_widgets.py,
tests/browser/test_widget.py.
"""

from llvq_mini.widgets.distortion_bitrate import DistortionBitrate

__all__ = ["DistortionBitrate"]
