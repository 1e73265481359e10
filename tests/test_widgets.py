"""llvq_mini.widgets without a browser: data checks, the HTML of the page, the live widget's traits, the mathematics."""

from __future__ import annotations

import base64
import io
import json
import math
import re
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from model_widgets import prompts, report

from llvq_mini import catalogue, gain, limits
from llvq_mini.errors import LLVQError
from llvq_mini.widgets import (
    DistortionBitrate,
    ErrorMap,
    GolayPlayground,
    LatticePlane,
    LatticeSpace,
    PlaneCodes,
    PointIndex,
    Reconstruction,
    Reconstructions,
    SamePrompt,
    SearchTrace,
    ShapeGainSplit,
    ShellOnion,
    SphereProjection,
    SquaresHexagons,
    _looks,
    plane_codes,
    shape_gain,
)
from llvq_mini.widgets._base import Widget
from llvq_mini.widgets._png import png
from llvq_mini.widgets.distortion_bitrate import SOURCES, gap_db

WIDGETS = Path(_looks.__file__).parent
MEASURED: tuple[type[Widget], ...] = (DistortionBitrate, ShapeGainSplit)  # these show a file of the benchmark
ALL = (
    *(*MEASURED, GolayPlayground, LatticePlane, LatticeSpace, PlaneCodes, PointIndex),
    *(SearchTrace, ShellOnion, ErrorMap, SamePrompt, SquaresHexagons),
    *(Reconstructions, SphereProjection),
)


def point(family: str, name: str, rate: float, mse: float, **more: Any) -> dict[str, Any]:
    """A measured code as the benchmark writes it, without what no widget reads."""
    fixed = {"source": "gaussian", "stderr": 1e-4, "dim": 24, "variable_rate": False, "table_bytes": 16}
    speed = {"encode_blocks_per_s": 1000, "decode_blocks_per_s": 2000}
    return {"family": family, "name": name, "rate": rate, "mse": mse, **fixed, **speed, **more}


@pytest.fixture
def data() -> dict[str, Any]:
    """A small file of the benchmark's form, with a name that would break careless HTML."""
    points = [
        point("Lloyd-Max scalar", "</script><b>", 1.0, 0.3634, dim=8),
        point("Leech ball", "ball", 2.0, 0.0775),
        point("Leech ball", "ball on weights", 2.0, 0.0811, source="weights"),
        point("Leech shape-gain", "12, 1", 2.0, 0.0769, parameters={"max_shell": 12, "gain_bits": 1}),
        point("Leech shape-gain", "10, 3", 47 / 24, 0.0846, parameters={"max_shell": 10, "gain_bits": 3}),
        point("Leech shape-gain", "9, 3", 46 / 24, 0.09, parameters={"max_shell": 9, "gain_bits": 3}),
    ]
    rows = [{"rate": r, "shannon": 4.0**-r, "floor24": None if r < 1 else 1.1 * 4.0**-r} for r in (0.5, 1, 2)]
    return {"meta": {"command": "test"}, "points": points, "limits": rows}


def two_stops(**options: Any) -> Reconstructions:
    """Two pictures of noise, and noisier ones by two codes at the first stop and one at the second."""
    rng = np.random.default_rng(0)
    pictures = {"cat & dog": rng.uniform(0.2, 0.8, (12, 16, 3)), "cup": rng.uniform(0.2, 0.8, (3, 9, 11))}
    near = [p + 0.01 for p in pictures.values()]
    far = [p + 0.1 for p in pictures.values()]
    stops = [
        [Reconstruction("Leech <24>", 17.58, near), Reconstruction("BSQ", 18, far)],
        [Reconstruction("Leech", 35.2, list(pictures.values()))],
    ]
    return Reconstructions(pictures, stops, **options)


def test_page_html_holds_the_data_and_a_picture(
    data: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the book: one mount node, the state as JSON that no name can break out of, every number in the table."""
    monkeypatch.setenv("LLVQ_STATIC_WIDGETS", "1")
    widget = DistortionBitrate(data)
    bundle = widget._repr_mimebundle_()
    assert set(bundle) == {"text/html", "text/plain"}
    page = bundle["text/html"]
    assert page.count("</script>") == 1 and "<b>" not in page
    text = page.split('<script type="application/json">')[1].split("</script>")[0]
    assert json.loads(text) == widget.state
    assert 'data-llvq-widget="distortion_bitrate"' in page
    assert "0.07750" in page and "0.36340" in page and "<svg" in page
    assert "0.08110" not in page  # a point of another source


@pytest.mark.parametrize("kind", ALL)
def test_every_widget_is_live_and_static(
    kind: type[Widget], data: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a notebook an anywidget with the state as traits, made once; in the book HTML with a picture and a table."""
    given = {ErrorMap: report(), SamePrompt: prompts(), SquaresHexagons: 0.0657} | dict.fromkeys(
        MEASURED, data
    )
    widget = two_stops() if kind is Reconstructions else kind(*[given[kind]] if kind in given else [])
    live = widget.live()
    assert live is widget.live()
    assert {key: getattr(live, key) for key in widget.state} == widget.state
    assert live._esm.rstrip().endswith("export default { render };") and "function frame(" in live._esm
    assert ".llvq-w {" in live._css and widget.style() == live._css
    assert "application/vnd.jupyter.widget-view+json" in str(widget._repr_mimebundle_())
    monkeypatch.setenv("LLVQ_STATIC_WIDGETS", "1")
    page = widget._repr_mimebundle_()["text/html"]
    assert f'data-llvq-widget="{kind.name}"' in page
    assert 'role="img" aria-label="' in page and "<table>" in page and 'scope="col"' in page
    assert repr(widget).startswith(kind.__name__ + "(")


def test_file_and_errors(data: dict[str, Any], tmp_path: Path) -> None:
    """A path works; a missing, broken or foreign file gives one sentence with the remedy."""
    path = tmp_path / "rd.json"
    path.write_text(json.dumps(data), encoding="utf-8")
    assert DistortionBitrate(path).data == data
    assert repr(DistortionBitrate(str(path))) == "DistortionBitrate(6 codes)"
    with pytest.raises(LLVQError, match="Cannot read .*make bench"):
        DistortionBitrate(tmp_path / "none.json")
    path.write_text("{", encoding="utf-8")
    with pytest.raises(LLVQError, match="is not JSON"):
        DistortionBitrate(path)
    for broken in ([], {"points": []}, {"points": [{"rate": 1}], "limits": data["limits"]}):
        path.write_text(json.dumps(broken), encoding="utf-8")
        for kind in MEASURED:
            with pytest.raises(LLVQError, match="must hold a list 'points'"):
                kind(path)


def test_arguments_are_checked(data: dict[str, Any]) -> None:
    """Each wrong argument is named, with what it may be."""
    with pytest.raises(ValueError, match="Argument 'view' must be"):
        DistortionBitrate(data, view="waterfall")
    with pytest.raises(ValueError, match=r"Argument 'source' must be one of \['gaussian', 'weights'\]"):
        DistortionBitrate(data, source="laplacian")
    with pytest.raises(ValueError, match="Argument 'hidden' must hold families"):
        DistortionBitrate(data, hidden=["Leech bowl"])
    for total in (23, 97, 48.5):
        with pytest.raises(ValueError, match="Argument 'total' must be in 24 ... 96"):
            ShapeGainSplit(data, total=total)
    for gain_bits in (-1, 5):
        with pytest.raises(ValueError, match="Argument 'gain_bits' must be in 0 ... 4"):
            ShapeGainSplit(data, gain_bits=gain_bits)
    with pytest.raises(ValueError, match="Argument 'code' must be one of"):
        PlaneCodes("E8")
    for wrong in ({"plane": "E8"}, {"color": "red"}, {"center": 196_560}, {"center": -1}):
        with pytest.raises(ValueError, match=f"Argument '{next(iter(wrong))}' must be"):
            SphereProjection(**wrong)  # type: ignore[arg-type]
    for place in ((0.0,), (0.0, 2.1), (math.nan, 0.0)):
        with pytest.raises(ValueError, match="Argument 'point' must be"):
            PlaneCodes(point=place)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="Argument 'key' must be one of"):
        plane_codes.code("E8")


def test_modules_are_self_contained() -> None:
    """A module imports nothing, fetches nothing and ends with the export that the book's wrapper replaces."""
    modules = list(WIDGETS.glob("*.js"))
    assert len(modules) == len(ALL) + 1
    for path in modules:
        source = path.read_text(encoding="utf-8")
        exported = source.rstrip().endswith("export default { render };")
        assert exported == (not path.stem.startswith("_"))
        assert not re.search(
            r"^\s*import\b|\bimport\(|\bfetch\(|https?:(?!//www\.w3\.org/2000/svg)", source, re.M
        )
        assert path.with_suffix(".css").exists()
        assert path.with_suffix(".py").exists() == exported


# ---- pictures ----


@pytest.mark.parametrize("shape", [(1, 1), (7, 5), (6, 9, 3)])
def test_png_is_read_back_by_another_program(shape: tuple[int, ...]) -> None:
    """Pillow finds the same pixels, first rows and wrap-around included."""
    from PIL import Image

    a = np.random.default_rng(1).integers(0, 256, shape, dtype=np.uint8)
    file = io.BytesIO(base64.b64decode(png(a).removeprefix("data:image/png;base64,")))
    with Image.open(file) as image:
        assert image.mode == ("L" if len(shape) == 2 else "RGB")
        assert np.array_equal(np.asarray(image), a)
    for bad in (a.astype(float), a[None, None], np.zeros((3, 3, 4), np.uint8), np.zeros((0, 3), np.uint8)):
        with pytest.raises(ValueError, match="Argument 'a' must be uint8"):
            png(bad)


def test_reconstructions_have_their_psnr_and_escape_names() -> None:
    """10 log10(1 / 0.1^2) = 20 dB up to the rounding to bytes; equal pictures get 99; no name breaks the page."""
    widget = two_stops(picture=1)
    rows, equal = widget.state["stops"]
    assert rows[0]["psnr"] == pytest.approx([40, 40], abs=0.8) and rows[1]["psnr"] == pytest.approx(
        [20, 20], abs=0.1
    )
    assert equal[0]["psnr"] == [99.0, 99.0] and widget.state["sizes"] == [[16, 12], [11, 9]]
    page = widget.static_html()
    assert "Leech &lt;24&gt;" in page and "cat &amp; dog" in page and "<24>" not in page
    assert f"{17.58 / 64:.5f}" in page and f"{rows[0]['psnr'][1]:.2f} dB" in page
    assert page.count("<image ") == 3 and repr(widget) == "Reconstructions(2 pictures, 2 stops)"


def test_reconstructions_check_their_arguments() -> None:
    """No picture, no row, another shape, values outside [0, 1], numbers out of range."""
    p = np.full((4, 6, 3), 0.5)
    row = [Reconstruction("code", 18, [p])]
    for pictures, stops in (({}, [row]), ({"p": p}, []), ({"p": p}, [[]])):
        with pytest.raises(ValueError, match="must hold a picture"):
            Reconstructions(pictures, stops)
    with pytest.raises(ValueError, match="one picture of its original's shape"):
        Reconstructions({"p": p}, [[Reconstruction("code", 18, [p[:3]])]])
    for bad in (p + 1, p[..., :2], (255 * p).astype(np.uint8), p * np.nan):
        with pytest.raises(ValueError, match="Argument 'pictures' must hold real pictures"):
            Reconstructions({"p": bad}, [row])
    for options in ({"picture": 1}, {"stop": -1}):
        with pytest.raises(ValueError, match=f"Argument '{next(iter(options))}' must be in 0 ... 0"):
            Reconstructions({"p": p}, [row], **options)


# ---- the explorer ----


def test_gap_and_the_limits_of_the_sources() -> None:
    """A code on the curve has no gap, a factor ten is ten decibels, and 2^(2h) / (2 pi e) is what SOURCES says."""
    assert gap_db(4.0**-2, 2) == pytest.approx(0, abs=1e-12)
    assert math.isclose(gap_db(10 * 4.0**-3.5, 3.5), 10)
    assert math.isclose(gap_db(0.7 * 4.0**-3, 3, 0.7), 0, abs_tol=1e-12)
    x = np.linspace(-40, 40, 4_000_001)
    densities = {
        "gaussian": np.exp(-(x**2) / 2) / math.sqrt(2 * math.pi),
        "laplacian": np.exp(-math.sqrt(2) * np.abs(x)) / math.sqrt(2),
        "uniform": np.where(np.abs(x) < math.sqrt(3), 1 / math.sqrt(12), 0),
    }
    step = x[1] - x[0]
    for name, density in densities.items():
        assert (density * x**2).sum() * step == pytest.approx(1, abs=1e-4)
        entropy = -(density * np.log2(density, where=density > 0, out=np.zeros_like(x))).sum() * step
        assert SOURCES[name][1] == pytest.approx(2 ** (2 * entropy) / (2 * math.pi * math.e), rel=1e-4)


def test_looks_differ_without_color() -> None:
    """No two families share shape and filling; each known family of the benchmark has a look; strangers get one too."""
    known = [row[0] for rows in _looks.GROUPS.values() for row in rows]
    looks = _looks.looks([*known[::-1], "stranger"])
    assert [look["family"] for look in looks] == [*known, "stranger"]
    marks = [(look["path"], look["filled"]) for look in looks[:-1]]
    assert len(set(marks)) == len(marks)
    assert looks[-1]["group"] == "other" and looks[-1]["shown"]
    assert {look["color"] for look in looks} <= set(range(6))
    assert {entry.family for entry in catalogue.entries().values()} == set(known)


def test_hidden_and_source(data: dict[str, Any]) -> None:
    """At first the main families are shown; the sources offered are those measured, each with its curve."""
    data["points"].append(point("LFQ", "lfq", 1.0, 0.4))
    state = DistortionBitrate(data).state
    assert state["hidden"] == ["LFQ"]
    assert DistortionBitrate(data, hidden=[]).state["hidden"] == []
    assert [row["source"] for row in state["sources"]] == ["gaussian", "weights"]
    assert [row["kind"] for row in state["sources"]] == ["limit", "reference"]
    picture = DistortionBitrate(data, source="weights").static_html()
    assert "0.08110" in picture and "0.07750" not in picture and 'class="floor"' not in picture


# ---- shape and gain ----


def test_parts_of_the_bound(data: dict[str, Any]) -> None:
    """Direction and length add up to limits.cap_bound; the best split of 48 bits has two gain bits."""
    widget = ShapeGainSplit(data)
    for total in (24, 48, 61, 96):
        for g in range(5):
            assert sum(widget.parts(total, g)) == pytest.approx(limits.cap_bound(total - g, g), abs=1e-14)
    bounds = [sum(widget.parts(48, g)) for g in range(5)]
    assert np.argmin(bounds) == 2 and bounds[1] < bounds[0] and bounds[2] < bounds[3] < bounds[4]
    directions, lengths = zip(*(widget.parts(48, g) for g in range(5)), strict=True)
    assert (np.diff(directions) > 0).all() and (np.diff(lengths) < 0).all()


def test_angle_and_levels() -> None:
    """The cap of the half-angle has measure 2^-s, and the levels have the energy of the bound."""
    for s in (24, 47, 90):
        theta = np.linspace(0, math.radians(shape_gain.half_angle(s)), 100_001)
        cap = np.trapezoid(np.sin(theta) ** 22, theta)
        whole = math.sqrt(math.pi) * math.gamma(11.5) / math.gamma(12)
        assert math.log2(cap / whole) == pytest.approx(-s, abs=1e-6)
    _, _, levels, energy = shape_gain._tables()
    r = np.linalg.norm(gain.sample(200_000), axis=1)
    for level, mean_square in zip(levels, energy, strict=True):
        g = np.array(level)
        chosen = g[np.abs(r[:, None] - g).argmin(axis=1)]
        assert (r * chosen).mean() / 24 == pytest.approx(
            mean_square, abs=0.002
        )  # E[r g] = E[g^2] at the optimum
        assert (chosen**2).mean() / 24 == pytest.approx(mean_square, abs=0.002)


def test_measured_codes_of_a_budget(data: dict[str, Any]) -> None:
    """A code stands at a budget if it needs it all or up to two bits less; the larger one wins."""
    widget = ShapeGainSplit(data)
    code = widget.code(48, 3)
    assert code is not None and (code["name"], code["bits"]) == ("10, 3", 47)
    assert widget.code(49, 1) == widget.code(48, 1) is not None
    assert widget.code(51, 1) is None and widget.code(47, 1) is None and widget.code(48, 0) is None
    page = widget.static_html()
    assert "0.07690" in page and "0.08460" in page and "0.09000" not in page
    assert f"{limits.cap_bound(46, 2):.5f}" in page


# ---- codes of the plane ----

KEYS = list(plane_codes.LABELS)


@pytest.mark.parametrize("key", KEYS)
def test_cells_tile_the_plane(key: str) -> None:
    """The cells of one period have its area, and a point of the interior of a cell is rounded to the cell's point."""
    code = plane_codes.code(key, seed=3)
    rng = np.random.default_rng(1)
    area = 0.0
    for k, at in enumerate(code.offsets):
        corners = np.array(plane_codes.cell(code, k)).reshape(-1, 2)
        if not len(corners):
            continue
        area += plane_codes.area_and_moment([(x, y) for x, y in corners])[0]
        for weights in rng.dirichlet(np.ones(len(corners)), 20):
            x, y = weights @ corners + at
            assert plane_codes.nearest(code, (x, y))[0] == pytest.approx(at, abs=1e-9)
    assert area == pytest.approx(code.period[0] * code.period[1], rel=1e-9)


def test_second_moments() -> None:
    """1 / 12 and 5 / (36 sqrt 3) for the lattices; the trellis has its published 0.99 dB over the integers."""
    moments = plane_codes.moments()
    assert moments["Z2"] == pytest.approx(1 / 12, rel=1e-12)
    assert moments["A2"] == pytest.approx(5 / (36 * 3**0.5), rel=1e-12)
    assert moments["A2"] < moments["pair"] < moments["Z2"]  # no lattice of the plane is better than A2
    assert -10 * math.log10(12 * moments["trellis"]) == pytest.approx(0.99, abs=0.015)
    assert moments["trellis"] > 1 / (2 * math.pi * math.e)


@pytest.mark.parametrize("key", KEYS)
def test_random_points_lead_to_the_mean(key: str) -> None:
    """What the button shows is near the mean error: within four standard errors, which are those of the drops."""
    drops = 600
    mean, stderr = plane_codes.running_error(key, drops)
    assert abs(mean - plane_codes.moments()[key]) < 4 * stderr
    assert 0.3 < stderr * drops**0.5 / mean < 1.0


def brute_force(numbers: list[float]) -> tuple[float, list[int]]:
    """Least squared error over all paths of the trellis, and the best path's cosets."""
    best, chosen = math.inf, [0]
    for start in range(4):
        for path in range(2 ** len(numbers)):
            state, cost, cosets = start, 0.0, []
            for step, x in enumerate(numbers):
                window = 2 * state + (path >> step & 1)
                coset, state = plane_codes.COSET[window], window % 4
                cost += min((x - k - coset / 2) ** 2 for k in range(-6, 7, 2))
                cosets.append(coset)
            if cost < best:
                best, chosen = cost, cosets
    return best, chosen


def test_the_pair_inside_a_sequence_is_on_the_best_path() -> None:
    """The point with least error plus handicap belongs to the best of all paths through the trellis."""
    rng = np.random.default_rng(5)
    for _ in range(8):
        numbers = rng.uniform(-1, 1, 8).tolist()
        past, (x, y), future = numbers[:3], numbers[3:5], numbers[5:]
        code = plane_codes.code("trellis")._replace(handicap=plane_codes.handicaps(past, future))
        point, _ = plane_codes.nearest(code, (x, y))
        _, cosets = brute_force(numbers)
        assert [round(2 * v) % 4 for v in point] == cosets[3:5]


def test_the_trellis_alone_starts_in_state_0() -> None:
    """Alone, the first number has the cosets 0 and 2, and the first decides about the second: half of all pairs."""
    code = plane_codes.code("pair")
    allowed = {
        tuple(round(2 * v) for v in at) for at, w in zip(code.offsets, code.handicap, strict=True) if w == 0
    }
    assert allowed == {(0, 0), (0, 2), (2, 1), (2, 3)}
    assert plane_codes.nearest(code, (1.1, 0.4))[0] == (1.0, 0.5)


def test_random_numbers_are_those_of_the_published_generator() -> None:
    """mulberry32 of seed 1, first values as printed by a JavaScript engine."""
    first = list(islice(plane_codes.random_numbers(1), 3))
    assert first == pytest.approx([0.6270739405881613, 0.002735721180215478, 0.5274470399599522], abs=1e-15)
