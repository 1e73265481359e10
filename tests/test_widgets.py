"""llvq_mini.widgets without a browser: data checks, the HTML of the page, the live widget's traits."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from llvq_mini.errors import LLVQError
from llvq_mini.widgets import DistortionBitrate
from llvq_mini.widgets.distortion_bitrate import gap_db

WIDGETS = Path(__file__).resolve().parents[1] / "llvq_mini" / "widgets"


@pytest.fixture
def data() -> dict[str, Any]:
    """A small file of the benchmark's form, with a name that would break careless HTML."""
    point = {"family": "scalar", "name": "</script><b>", "rate": 1.0, "mse": 0.3634, "stderr": 1e-4}
    other = {"family": "lattice", "name": "ball", "rate": 2.0, "mse": 0.0775, "stderr": 1e-5}
    limits = [
        {"rate": r, "shannon": 4.0**-r, "floor24": None if r < 1 else 1.1 * 4.0**-r} for r in (0.5, 1, 2)
    ]
    return {"meta": {"command": "test"}, "points": [point, other], "limits": limits}


def test_page_html_holds_the_data_and_a_picture(
    data: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the book: one mount node, the state as JSON that no name can break out of, every number in the table."""
    monkeypatch.setenv("LLVQ_STATIC_WIDGETS", "1")
    bundle = DistortionBitrate(data)._repr_mimebundle_()
    assert set(bundle) == {"text/html", "text/plain"}
    page = bundle["text/html"]
    assert page.count("</script>") == 1 and "<b>" not in page
    text = page.split('<script type="application/json">')[1].split("</script>")[0]
    assert json.loads(text) == {"data": data, "rate": 2.0, "view": "distortion", "hidden": []}
    assert 'data-llvq-widget="distortion_bitrate"' in page
    assert "0.07750" in page and "0.36340" in page and "<svg" in page


def test_live_widget_shares_its_state(data: dict[str, Any]) -> None:
    """In a notebook: an anywidget with the same state, made once."""
    widget = DistortionBitrate(data, rate=1.5, view="gap")
    live = widget.live()
    assert (live.rate, live.view, live.hidden, live.data) == (1.5, "gap", [], data)
    assert live is widget.live()
    assert "export default { render };" in str(live._esm)
    assert ".llvq-rd" in str(live._css)
    assert "application/vnd.jupyter.widget-view+json" in str(widget._repr_mimebundle_())


def test_file_and_errors(data: dict[str, Any], tmp_path: Path) -> None:
    """A path works; a missing, broken or foreign file gives one sentence with the remedy."""
    path = tmp_path / "rd.json"
    path.write_text(json.dumps(data), encoding="utf-8")
    assert DistortionBitrate(path).data == data
    assert repr(DistortionBitrate(str(path))) == "DistortionBitrate(2 codes)"
    with pytest.raises(LLVQError, match="Cannot read .*make bench"):
        DistortionBitrate(tmp_path / "none.json")
    path.write_text("{", encoding="utf-8")
    with pytest.raises(LLVQError, match="is not JSON"):
        DistortionBitrate(path)
    for broken in ([], {"points": []}, {"points": [{"rate": 1}], "limits": data["limits"]}):
        path.write_text(json.dumps(broken), encoding="utf-8")
        with pytest.raises(LLVQError, match="must hold a list 'points'"):
            DistortionBitrate(path)
    with pytest.raises(ValueError, match="Argument 'view' must be"):
        DistortionBitrate(data, view="waterfall")


def test_gap() -> None:
    """A code on the limit has no gap; a factor ten is ten decibels."""
    assert gap_db(4.0**-2, 2) == pytest.approx(0, abs=1e-12)
    assert math.isclose(gap_db(10 * 4.0**-3.5, 3.5), 10)


def test_modules_are_self_contained() -> None:
    """A widget's module imports nothing, fetches nothing and ends with the export that the book's wrapper replaces."""
    for path in WIDGETS.glob("*.js"):
        source = path.read_text(encoding="utf-8")
        assert source.rstrip().endswith("export default { render };")
        assert "import " not in source.replace("importance", "") and "fetch(" not in source
        assert path.with_suffix(".css").exists() and path.with_suffix(".py").exists()
