"""The widgets that show a quantized model, its report and its texts; and the one of the first page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from model_widgets import prompts, report
from test_widgets_compute import javascript

from llvq_mini.errors import LLVQError
from llvq_mini.widgets import (
    ErrorMap,
    SamePrompt,
    SquaresHexagons,
    error_map,
    plane_codes,
    same_prompt,
    squares_hexagons,
)

RESULTS = Path(__file__).resolve().parents[1] / "benchmarks" / "results"


def test_map_keeps_every_linear() -> None:
    """Layer, kind and figures of each entry; the worst is chosen; kinds in the report's order."""
    made = report()
    widget = ErrorMap(made, "mse")
    state = widget.state
    assert len(state["cells"]) == len(made["layers"]) == 6 and state["kinds"] == ["q_proj", "up_proj"]
    for cell, entry in zip(state["cells"], made["layers"], strict=True):
        assert entry["name"].startswith(f"model.layers.{cell['layer']}.") and entry["name"].endswith(
            cell["kind"]
        )
        assert all(cell[key] == entry[key] for key in ("proxy_error", "mse", "rows", "seconds"))
        assert state["paths"][cell["path"]] == entry["path"]
    assert made["layers"][state["cell"]]["mse"] == max(entry["mse"] for entry in made["layers"])
    assert repr(widget) == "ErrorMap(6 linears, 'mse')"


def test_map_refuses_what_is_no_report() -> None:
    """No linears, a linear without a figure or a number, an unknown measure."""
    with pytest.raises(ValueError, match="must hold a list 'layers'"):
        ErrorMap({})
    made = report()
    del made["layers"][1]["condition"]
    with pytest.raises(ValueError, match=r"lacks \['condition'\]"):
        ErrorMap(made)
    made = report()
    made["layers"][0]["name"] = "lm_head"
    with pytest.raises(ValueError, match="the number of its layer"):
        ErrorMap(made)
    with pytest.raises(ValueError, match="Argument 'measure' must be one of"):
        ErrorMap(report(), "beauty")


def test_colors_are_cividis() -> None:
    """The nine points are matplotlib's, and lightness rises between them all the way."""
    matplotlib = pytest.importorskip("matplotlib")
    from matplotlib.colors import to_hex, to_rgb

    own = matplotlib.colormaps["cividis"]
    assert [to_hex(own(t)) for t in np.linspace(0, 1, 9)] == list(error_map.COLORS)
    shades = [to_rgb(error_map.color(v, 0.0, 1.0, False)) for v in np.linspace(0, 1, 41)]
    light = [0.2126 * r**2.2 + 0.7152 * g**2.2 + 0.0722 * b**2.2 for r, g, b in shades]
    assert all(a < b for a, b in zip(light, light[1:], strict=False))


def test_scale_of_the_colors() -> None:
    """Ends have the end colors, the middle of a logarithmic scale the middle color; constants do no harm."""
    assert error_map.scale([1.0, 2.0, 3.0], False)[1] == 3.0
    low, high = error_map.scale([0.0] * 50 + [1e-4, 1e-2], True)
    assert (low, high) == (1e-4, 1e-2)
    colors = error_map.COLORS
    assert error_map.color(1e-3, low, high, True) == colors[4]
    assert [error_map.color(v, low, high, True) for v in (0.0, low, high, 2 * high)] == [colors[0]] * 2 + [
        colors[8]
    ] * 2
    assert error_map.color(1.0, 1.0, 1.0, True) == colors[0]


def test_colors_in_javascript() -> None:
    """The same colors, value by value, on both kinds of scale."""
    rng = np.random.default_rng(3)
    given = [[float(v), 0.01, 1.0, bool(n % 2)] for n, v in enumerate(np.exp(rng.uniform(-7, 1, 400)))]
    body = "return given.map(([v, low, high, log]) => colorOf(state.colors, v, low, high, log));"
    assert javascript(ErrorMap(report()), body, given) == [error_map.color(*case) for case in given]


def test_static_map() -> None:
    """A rectangle for each linear, and the table of kinds."""
    made = report()
    page = ErrorMap(made).static_html()
    assert page.count("<rect") == 6 and "q_proj" in page
    worst = max((e for e in made["layers"] if e["name"].endswith("up_proj")), key=lambda e: e["proxy_error"])
    assert f"<td>{worst['proxy_error']:.3g}</td><td>{worst['name'].split('.')[2]}</td>" in page


def test_prompts_are_read(tmp_path: Path) -> None:
    """A path or its content, the original first and rivals in their order; wrong files are refused with the remedy."""
    path = tmp_path / "llm_prompts.json"
    path.write_text(json.dumps(prompts()), encoding="utf-8")
    widget = SamePrompt(path)
    assert widget.state == SamePrompt(prompts()).state
    labels = [arm["label"] for arm in widget.state["arms"]]
    assert labels == ["the original", "2 bits, Leech", "2 bits, round to nearest"]
    assert widget.state["arms"][1]["missed"] == pytest.approx(3.0)
    with pytest.raises(LLVQError, match="Cannot read .*run benchmarks/llm_prompts.py first"):
        SamePrompt(tmp_path / "none.json")
    path.write_text("{", encoding="utf-8")
    with pytest.raises(LLVQError, match="is not JSON"):
        SamePrompt(path)
    backwards: dict[str, Any] = {**prompts(), "arms": prompts()["arms"][::-1]}
    for broken in ([], {"prompts": [], "arms": []}, backwards):
        path.write_text(json.dumps(broken), encoding="utf-8")
        with pytest.raises(LLVQError, match="the original first"):
            SamePrompt(path)
    with pytest.raises(ValueError, match="Argument 'prompt' must be in 0 ... 1"):
        SamePrompt(prompts(), prompt=2)


def test_static_texts_are_marked_and_escaped() -> None:
    """Each token in its level; nothing of a text is HTML; an empty text does no harm."""
    page = SamePrompt(prompts(), prompt=1).static_html()
    assert "&lt;b&gt;" in page and "<b>bold" not in page and "↵" in page
    assert page.count('class="s3"') == 2 and page.count('class="s1"') == 1
    assert [same_prompt.level(v) for v in (0.0, 2.0, 2.1, 5.1, 10.1)] == [0, 0, 1, 2, 3]


def test_squares_and_hexagons() -> None:
    """The moments are the known ones and the means near them; both languages agree; arguments are checked."""
    widget = SquaresHexagons(0.0657)
    exact = [1 / 12, 5 / (36 * 3**0.5)]
    assert [code["moment"] for code in widget.state["codes"]] == pytest.approx(exact, abs=1e-12)
    page = widget.static_html()
    for key, moment in zip(squares_hexagons.LABELS, exact, strict=True):
        fallen = squares_hexagons.dots(key, 2000)
        assert sum(error for _, error in fallen) / 2000 == pytest.approx(moment, rel=2e-3)
        assert all(plane_codes.nearest(plane_codes.code(key), x)[1] == error for x, error in fallen[:50])
        assert f"<td>{sum(error for _, error in fallen[:200]) / 200:.4f}</td>" in page
    assert page.count('class="dot"') == 400 and "21.2 %" in page
    body = """
        return state.codes.map((code) => {
            const size = code.period.map((side) => Math.floor(4 / side) * side);
            const place = (n) => scattered(state.plastic, n).map((c, i) => size[i] * (c - 0.5));
            return Array.from({ length: 300 }, (_, n) => errorOf(code, place(n + 1)));
        });
    """
    for key, errors in zip(squares_hexagons.LABELS, javascript(widget, body, None), strict=True):
        assert errors == pytest.approx([error for _, error in squares_hexagons.dots(key, 300)], abs=1e-12)
    for leech, drops in ((0.09, 200), (0.0657, 0)):
        with pytest.raises(ValueError, match="must be"):
            SquaresHexagons(leech, drops)


def test_committed_texts() -> None:
    """The benchmark's file: surprises fit the texts, and the counts of common tokens are right."""
    data = json.loads((RESULTS / "llm_prompts.json").read_text(encoding="utf-8"))
    assert data["meta"]["commit"] and "dirty" not in data["meta"]["commit"]
    first = data["arms"][0]
    assert first["arm"] == "original" and {"descent-1", "rtn-2"} <= {arm["arm"] for arm in data["arms"]}
    for arm in data["arms"]:
        assert len(arm["texts"]) == len(data["prompts"])
        for own, model in zip(arm["texts"], first["texts"], strict=True):
            counts = {len(own[key]) for key in ("pieces", "surprise", "instead", "chance")}
            assert len(counts) == 1 and counts.pop() <= data["tokens"]
            same = own["same"]
            assert own["pieces"][:same] == model["pieces"][:same]
            assert own["pieces"][same : same + 1] != model["pieces"][same : same + 1] or arm is first
            assert all(value >= 0 for value in own["surprise"]) and all(0 < c <= 1 for c in own["chance"])
            for bits, piece, other, chance in zip(
                *(own[k] for k in ("surprise", "pieces", "instead", "chance")), strict=True
            ):
                assert piece != other or abs(2**-bits - chance) < 2e-3
