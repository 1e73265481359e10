"""The widgets that compute in the page: their Python against the library, and their JavaScript against both.

JavaScript runs in the Node that the Playwright package brings; no browser is needed.
"""

from __future__ import annotations

import numpy as np
import pytest
from in_node import javascript

from llvq_mini import golay, index, leech, reference, search, shells
from llvq_mini._index_tables import KINDS, tables
from llvq_mini.widgets import (
    GolayPlayground,
    PointIndex,
    SearchTrace,
    golay_playground,
    point_index,
    search_trace,
)

# ---- the Golay playground ----


def received_words() -> list[int]:
    """Edges, all words with one error near 0, ties, dodecads with errors, and 1,000 random words."""
    rng = np.random.default_rng(7)
    dodecads = golay.of_weight(12)[:40].astype(int)
    flips = (1 << np.array([rng.choice(24, 4, replace=False) for _ in dodecads])).sum(axis=1)
    edges = [0, (1 << 24) - 1, *(1 << i for i in range(24)), 0b1111, 0x111111, golay_playground.START]
    return [*edges, *(dodecads ^ flips).tolist(), *rng.integers(0, 1 << 24, 1000).tolist()]


def test_nearest_words_are_those_of_the_library() -> None:
    """The first is decode_hard's; one within distance 3; at 4 six, whose differences are a sextet."""
    seen = set()
    for word in received_words()[:300]:
        distance, numbers = golay_playground.nearest(word)
        found, changed = golay.decode_hard(word)
        assert (golay.number(found), changed) == (numbers[0], distance)
        assert len(numbers) == (6 if distance == 4 else 1)
        if distance == 4:
            groups = golay.WORDS[numbers] ^ np.uint32(word)
            assert np.bitwise_or.reduce(groups) == (1 << 24) - 1
            assert all(golay.contains(one ^ two) for one in groups for two in groups)
        seen.add(distance)
    assert seen == {0, 1, 2, 3, 4}


def test_columns_are_a_sextet() -> None:
    """Any two columns of the picture are a code word of weight 8, and two columns of an octad are that block."""
    columns = [0b1111 << 4 * column for column in range(6)]
    assert all(golay.contains(p | q) for p in columns for q in columns if p < q)
    assert golay_playground.nearest(columns[0])[0] == 4


def test_syndrome_belongs_to_the_errors() -> None:
    """Zero exactly on the code, the same for the same errors on every word, and all different up to three errors."""
    few = [0, 1, 1 << 23, 0b11, 0b101, 0b111, 0x800101]
    for errors in few:
        found = {golay_playground.syndrome(int(word) ^ errors) for word in golay.WORDS[::97]}
        assert found == {golay_playground.syndrome(errors)}
    assert len({golay_playground.syndrome(errors) for errors in few}) == len(few)
    words = received_words()[:200]
    assert [golay_playground.syndrome(w) == 0 for w in words] == golay.contains(np.array(words)).tolist()


def test_playground_in_javascript() -> None:
    """All code words, and nearest words, distance and syndrome of more than 1,000 received ones."""
    given = received_words()
    body = """
        const words = golayWords(state.hamming, state.inverted);
        return [words, given.map((word) => [decode(words, word), syndrome(words, word)])];
    """
    words, found = javascript(GolayPlayground(), body, given)
    assert words == golay.WORDS.tolist()
    assert len(found) > 1000
    for word, (reading, parities) in zip(given, found, strict=True):
        assert (reading["distance"], reading["near"]) == golay_playground.nearest(word)
        assert parities == golay_playground.syndrome(word)


def test_playground_starts_with_an_octad_and_two_errors() -> None:
    """The first picture: its distance, what is flipped, and where errors are counted from."""
    widget = GolayPlayground()
    distance, numbers = golay_playground.nearest(widget.state["word"])
    sent = widget.state["sent"]
    assert distance == 2 and sent == golay.WORDS[numbers[0]] and golay.weight(sent) == 8
    page = widget.static_html()
    assert "decoding flips 9, 12" in page and page.count(" ring") == 2
    assert f"Nearest word number {numbers[0]}" in page
    assert "it is a code word" in GolayPlayground(0).static_html()
    assert repr(GolayPlayground(255)) == "GolayPlayground(0x0000ff)"
    for word in (-1, 1 << 24):
        with pytest.raises(ValueError, match="Argument 'word' must be in"):
            GolayPlayground(word)


# ---- index and point ----


def edge_indices() -> list[int]:
    """First and last index of every row, which are also those of every shell."""
    first = tables(point_index.CAP).first.tolist()
    return sorted({0, *first, *(f - 1 for f in first[1:]), index.size(point_index.CAP) - 1})


def indices() -> list[int]:
    """All edges, and 1,500 random ones, two thirds of them spread over the inner shells."""
    rng = np.random.default_rng(13)
    sizes = [index.size(m) for m in range(2, 14)]
    inner = [int(rng.integers(0, size)) for size in sizes for _ in range(1000 // len(sizes) + 1)]
    return [*edge_indices(), *inner, *rng.integers(0, sizes[-1], 500).tolist()]


def no_points() -> list[list[int]]:
    """Points with small damage: one coordinate moved by 1, 2 or 4, two swapped; and points beyond the ball."""
    rng = np.random.default_rng(14)
    points = index.decode(rng.integers(0, index.size(13), 400), 13).astype(int)
    for k, point in enumerate(points):
        point[rng.integers(24)] += (1, -1, 2, -2, 4, -4, 8)[k % 7]
    swapped = index.decode(rng.integers(0, index.size(5), 200), 5).astype(int)
    swapped[:, [0, 12]] = swapped[:, [12, 0]]
    return [*points.tolist(), *swapped.tolist(), [8, *[0] * 22, 8], [16, *[0] * 23], [-99] * 24]


def test_index_in_javascript() -> None:
    """Both ways, on every edge and more than 1,000 random indices: points, parts, class; and back to the index."""
    codes = indices()
    assert len(codes) > 2000
    body = """
        const t = unfold(state.tables);
        return given.map((code) => {
            const found = decodeIndex(t, BigInt(code));
            const kind = classOf(found.point);
            return [found.point, String(encodePoint(t, found.point)), kind.parts, String(kind.count),
                    [found.kind, found.first, found.number, found.position, found.words, found.bits, found.signs,
                     found.rank, found.shapes].map(String)];
        });
    """
    rows = javascript(PointIndex(), body, codes)
    points = index.decode(np.array(codes), 13).tolist()
    for code, point, (shown, back, multiset, members, found) in zip(codes, points, rows, strict=True):
        assert shown == point and int(back) == code
        assert [int(part) for part in found] == list(point_index.parts(code)[1:])
        values = [value for value, times in multiset for _ in range(times)]
        leader = point_index.leader(point)
        assert (tuple(values), int(members)) == (leader.values, leader.cardinality)


def test_rules_in_javascript() -> None:
    """On points and on what is none: the four rules are Python's, and together they are membership."""
    vectors = [*no_points(), *index.decode(np.array(indices()[::20]), 13).tolist()]
    found = javascript(
        PointIndex(), "const t = unfold(state.tables); return given.map((v) => rules(t, v));", vectors
    )
    assert found == [point_index.rules(v) for v in vectors]
    inside = [all(held) for held in found]
    norms = np.array([sum(c * c for c in v) for v in vectors])
    assert inside == (leech.contains(np.array(vectors)) & (norms <= 16 * 13)).tolist()
    assert {tuple(held) for held in found} >= {
        (True, True, True, True),
        (False, None, None, True),
        (True, False, True, True),
        (True, True, False, True),
        (True, True, True, False),
    }


def test_parts_make_the_index() -> None:
    """The formula of the essay gives the index back; shell and word are those of the point."""
    for code in indices()[::7]:
        p = point_index.parts(code)
        assert p.first + ((p.position << p.bits) + p.signs) * p.shapes + p.rank == code
        assert p.position < p.words and p.rank < p.shapes and p.signs < 1 << p.bits
        point = index.decode(np.array([code]), 13)
        assert leech.shell(point)[0] == p.shell
        e = point[0].astype(int) & 1
        assert golay.number(golay.from_bits((point[0] - e) >> 1 & 1)) == p.number


def test_the_page_gets_small_tables() -> None:
    """A sixth of what index.py decodes with; every class of the ball is found by its leader."""
    assert point_index.page_bytes() < 20_000
    for m in (0, 2, 5, 9):
        for leader in shells.classes(m):
            assert sum(v * v for v in leader.values) == 16 * m
    assert point_index.leader([4, -4, *[0] * 22]).cardinality == 1104


def test_static_picture_of_an_index() -> None:
    """Coordinates, bits and parts; the repr has the index; an index out of range is refused."""
    widget = PointIndex(196_560)
    page = widget.static_html()
    assert f"{196_560:048b}"[-8:] in page and "Index 196,560" in page
    p = point_index.parts(196_560)
    assert f"{p.rank:,}" in page and (p.kind == 0 or " + ".join(map(str, KINDS[p.kind])) in page)
    assert repr(widget) == "PointIndex(196560)" and "196,560" in page
    for code in (-1, index.size(13)):
        with pytest.raises(ValueError, match="Argument 'code' must be in"):
            PointIndex(code)


# ---- the search, step by step ----


def blocks() -> list[list[float]]:
    """Gaussian and heavy-tailed blocks of two decimals, the presets, far apart sizes, ties of all kinds."""
    rng = np.random.default_rng(12)
    smooth = rng.normal(size=(120, 24)).round(2)
    heavy = rng.standard_cauchy((60, 24)).round(2).clip(-99, 99)
    coarse = rng.integers(-2, 3, (60, 24)).astype(float)
    ends = [[99.0, *[0.01] * 23], [-3.0, *[1.0] * 23], [2.0] * 12 + [-1.0] * 12]
    presets = [values for _, values in search_trace.PRESETS]
    return [*smooth.tolist(), *heavy.tolist(), *coarse.tolist(), *ends, *presets]


def test_trace_ends_at_the_point_of_the_library() -> None:
    """The same point as the fast search on every block, ties included, and as the slow one on some."""
    given = blocks()
    found = [search_trace.trace(x)[1] for x in given]
    assert found == search.nearest_direction(np.array(given), 12).tolist()
    some = [*range(0, 240, 40), *range(240, len(given))]
    slow = reference.nearest_direction(np.array(given)[some], max_shell=12).tolist()
    for n, other in zip(some, slow, strict=True):  # the slow search breaks ties in its own way
        one, other = np.array(found[n]), np.array(other)
        score, best = (np.dot(given[n], v) / np.sqrt(np.dot(v, v)) for v in (one, other))
        assert score == pytest.approx(best, rel=1e-12) and np.dot(one, one) == np.dot(other, other)
    assert search_trace.trace([0.0] * 24) == ([], None)


def test_trace_keeps_its_promises() -> None:
    """Listed are lattice points at the distance told, the nearest among them; each group ends with its certificate."""
    for x in blocks()[:6]:
        steps, best = search_trace.trace(x)
        proofs = [step for step in steps if step["kind"] == "certificate" and step["holds"]]
        assert [proof["group"] for proof in proofs] == [0, 1, 2]
        for step in steps:
            if step["kind"] == "point":
                assert leech.contains(np.array([step["v"]]))[0]
        t = search.groups(12)[0].t
        unit = np.array(x) / np.linalg.norm(x)
        listed = {tuple(step["v"]): step["distance"] for step in steps if step["kind"] == "point"}
        for v, distance in listed.items():
            if 8 <= sum(c * c for c in v) // 16 <= 12:
                assert abs(np.sum((t * unit - v) ** 2) - distance) < 1e-9
        nearest = tuple(search.nearest_point(t * unit[None])[0].tolist())
        assert nearest in listed or np.sum((t * unit - nearest) ** 2) >= proofs[0]["listed"]
        assert best is not None and tuple(best) in listed


def test_trace_in_javascript() -> None:
    """Step by step the same search, to the last bit, and the same point."""
    given = blocks()
    body = """
        const words = golayWords(state.hamming, state.inverted);
        const count = (marks) => marks.filter(([, inside]) => inside).length;
        return given.map((x) => {
            const { steps, best, cosine } = trace(state, words, x);
            const plain = steps.map(({ kind, ...s }) => ({
                target: () => ({ kind, group: s.group, radius2: s.radius2 }),
                coset: () => ({ kind, e: s.e, bound: s.bound }),
                pair: () => ({ kind, e: s.e, g: s.g, bound: s.bound, open: s.open, cells: count(s.cells),
                               words: s.words.length, near: s.near }),
                point: () => ({ kind, v: s.v, shell: s.shell, distance: s.distance, cosine: s.cosine,
                                verdict: s.verdict }),
                certificate: () => ({ kind, group: s.group, listed: s.listed, needed: s.needed, holds: s.holds }),
            })[kind]());
            return [plain, best, cosine];
        });
    """
    rows = javascript(SearchTrace(), body, given)
    kinds = set()
    for x, (steps, best, cosine) in zip(given, rows, strict=True):
        assert (steps, best) == search_trace.trace(x)
        assert abs(cosine - np.dot(x, best) / np.linalg.norm(x) / np.linalg.norm(best)) < 1e-12
        kinds |= {(step["kind"], step.get("verdict"), step.get("open"), step.get("holds")) for step in steps}
    assert {("coset", None, None, None), ("pair", None, False, None), ("pair", None, True, None)} <= kinds
    assert {("point", verdict, None, None) for verdict in ("better", "worse", "outside")} <= kinds
    assert ("certificate", None, None, False) in kinds
    assert javascript(SearchTrace(), "return trace(state, [], given);", [0] * 24) is None


def test_static_picture_of_a_search() -> None:
    """The point found, the groups and their certificates; wrong blocks are refused."""
    widget = SearchTrace()
    page = widget.static_html()
    best = search.nearest_direction(np.array([widget.state["x"]]), 12)[0].tolist()
    assert f"nearest lattice direction is {best}" in page and page.count("✓") == 3
    assert f"{shells.ball_size(12):,}" in page
    for x in ([1.0] * 23, [100.0] * 24, [np.nan] * 24):
        with pytest.raises(ValueError, match="Argument 'x' must be 24 numbers"):
            SearchTrace(x)
