"""_listing.py: the walk over the points of one Golay word, complete for radii that Gaussian blocks never need."""

from __future__ import annotations

import numpy as np
import pytest

from llvq_mini import _listing


def test_moves_of_a_leaf_are_complete():
    """All steps s of k, on either side, with 16 s^2 - 8 s side delta < budget, ascending in cost."""
    rng = np.random.default_rng(20)
    for budget in (1.0, 15.9, 30.0, 47.0, 64.0):
        side = rng.choice([-1.0, 1.0], 48).astype(np.float32)
        delta = rng.uniform(0, 2, 48).astype(np.float32)
        delta[::5], delta[1::7] = 0, 2
        word = int(rng.integers(0, 1 << 24))
        move = np.empty((3, 144))
        count = _listing._affordable_moves(word, budget, side, delta, move)
        at = [24 * (word >> i & 1) + i for i in range(24)]
        cost = {(i, s): 16.0 * s * s - 8.0 * s * side[j] * delta[j]
                for i, j in enumerate(at) for s in range(-6, 7) if s}  # fmt: skip
        listed = {(int(i), int(s)): c for c, i, s in move[:, :count].T}
        assert listed.keys() == {key for key, c in cost.items() if c < budget}
        assert all(abs(c - cost[key]) < 1e-4 for key, c in listed.items())
        assert (np.diff(move[0, :count]) >= 0).all()


def shifts_within(budget: float, options: list, cost: float = 0.0) -> list[tuple[tuple, float]]:
    """One shift for every coordinate from its options (cost, shift), all choices of total cost below budget."""
    if not options:
        return [((), cost)]
    return [((s, *rest), total) for more, s in options[0] if cost + more < budget
            for rest, total in shifts_within(budget, options[1:], cost + more)]  # fmt: skip


def test_a_leaf_visits_every_point_of_its_word_once(monkeypatch):
    """The walk in plain Python, its visits recorded: all points v + 4 s within the radius, with their sums."""
    visited = {}

    def record(mode, depth, x, base, move, path, *_):
        shift = np.zeros(24, dtype=int)
        for n in path[4, 1 : depth + 1].astype(int):
            assert not shift[int(move[1, n])], "one move a coordinate"
            shift[int(move[1, n])] = move[2, n]
        assert tuple(shift) not in visited
        point = base + 4 * shift
        assert path[1, depth] == point @ point and path[2, depth] == pytest.approx(point @ x)
        assert path[3, depth] == (((point - 2 * bits - e) // 4).sum() + e) % 2
        visited[tuple(shift)] = path[0, depth]

    monkeypatch.setattr(_listing, "_visit", record)
    rng = np.random.default_rng(21)
    for e in (0, 1):
        bits = rng.integers(0, 2, 24)
        word = int(bits @ (1 << np.arange(24)))
        side, delta = rng.choice([-1.0, 1.0], 48), rng.uniform(0, 0.4, 48)
        delta[[3, 27]] = 1.9
        value = (4 * rng.integers(-2, 3, (2, 24)) + np.array([[0], [2]]) + e).ravel().astype(float)
        at = 24 * bits + np.arange(24)
        options = [[(16.0 * s * s - 8 * s * side[j] * delta[j], s) for s in range(-3, 4)] for j in at]

        state, x = np.zeros(13), rng.standard_normal(24)
        state[3] = 40.0
        visited.clear()
        buffers = np.empty(24), np.empty((3, 144)), np.empty((5, 26))
        _listing._leaf.py_func(1, word, 2.5, e, x, value, side, delta, *buffers, np.empty(24), np.empty(24), state)
        expected = {shift: c + 2.5 for shift, c in shifts_within(37.5, options)}
        assert visited.keys() == expected.keys()
        assert all(abs(c - expected[shift]) < 1e-9 for shift, c in visited.items())
        assert len(visited) > 500 and any(abs(s) == 2 for shift in visited for s in shift)
