"""List decoder of the Leech lattice: every lattice point within a radius of a target, in Numba.

Fix one coset e (0 even, 1 odd).  Lattice points of that coset are v = 4k + 2c + e with c a Golay word.

 1. For coordinate i and codeword bit 0 the nearest admissible value lies at distance u_i, 0 <= u_i <= 2, for bit 1 at
    2 - u_i.  With q = 2u - 2 and s = u^2 - 2u + 2 the squared distances are s + q and s - q, so a whole word c costs
    D(c) = S + sum_i (-1)^{c_i} q_i, S = sum s_i: a correlation.
 2. Turyn's construction (golay.py) splits c over three octads.  For each of the eight functions g of the inverse, flip
    q by g and take an eight-point Hadamard transform per octad: W_o[k].  Then, over k1, k2 and eight sign patterns,
    D = S + p1 W_1[k1] + p2 W_2[k2] + p3 W_3[k1 ^ k2]; all eight sign patterns occur, since x and its complement give
    opposite signs.  S - sum_o max_k |W_o[k]| bounds a whole g, S - |W_1| - |W_2| - |W_3| a whole (k1, k2).
 3. A word with D < R2 is a leaf.  Its nearest point may have the wrong parity of sum k, and other points of the same
    word may be within R2 too: moving coordinate i to its h-th next value on either side costs
    16 h^2 -+ 8 h delta more (delta = u or 2 - u) and changes k_i by h.  A depth-first walk over the affordable moves,
    at most one a coordinate, visits all of them, keeping norm and dot product by increments.
 4. A visited point of admissible norm that may beat the best is scored again by the library's one formula in float64
    (search.py), ties included.  A better score shrinks R2 at once.

Costs are float32, safe because every radius carries a SLACK far above their rounding error (below 4e-4: 24 terms of at
most 4, summed by a tree, and targets shorter than 32); decisions between points are float64.  The covering radius is
4, so some lattice point lies within 4 of the target pulled 4 inside the cap: a search ends long before a budget of
192, up to which the moves h <= 3 are complete.  Time grows with the number of points listed, about (R2/8)^12 / 500:
microseconds for ordinary blocks, up to a second for a sparse block far outside a ball, where R2 reaches 40.

Internal to search.py, which states the certificates and documents the interface.  Tests: tests/test_search.py.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from llvq_mini import golay
from llvq_mini._parallel import KERNEL

UNBOUNDED = -1
"""Norm cap that stands for the whole lattice."""
SLACK = 2e-3
"""Added to every squared radius: covers float32 rounding of costs and keeps exact ties inside."""
MARGIN = 1e-10
"""Candidates this close below the best score are scored again exactly; covers the rounding of incremental sums."""
FIRST_RADIUS2, RADIUS2_STEP = 14.5, 1.5
"""Squared radius to begin with and its growth while nothing is found; they matter for speed only."""

PULL = 0.6
"""Targets outside a ball of norm cap N are pulled back to length sqrt(N) - PULL; it matters for speed only."""

DIRECTION, BALL = 0, 1
_WORDS = golay.WORDS.astype(np.int64)
# _FLIP[8 i + g] = (-1)^{g(2g)_i}: the sign that the g-th function of the inverse puts on position i of every octad.
_FLIP = (1 - 2 * golay.to_bits(golay.HAMMING_INVERTED[::2])[:, :8].astype(np.float32)).T.ravel().copy()
_ROOT = 4 * np.sqrt(np.arange(40.0))  # |v| on shell m
_MOVES = 24 * 6  # capacity: h = 1, 2, 3 on both sides of every coordinate

# Fields of the state of one block, a float64 vector (one array is cheaper to pass than many scalars):
_SCORE, _NORM, _FOUND = 0, 1, 2  # the best point so far
_RADIUS2 = 3  # list points nearer to the target than this
_MIN_NORM, _MAX_NORM = 4, 5  # admissible |v|^2
_TARGET, _LENGTH = 6, 7  # |y|, and |x| as scaled
_LOW, _HIGH = 8, 9  # direction: sqrt of the extreme norms of the group
# ball: weight of |v|^2 in the score; t and (1 - t) N of the certificate, as scaled
_UNIT, _TAU, _SPARE = 10, 11, 12
_FIELDS = 13

# Costs may be summed in another order or fused: SLACK covers it.  Decisions may not.
_FAST = KERNEL | {"fastmath": {"nsz", "contract", "arcp"}}


@njit(**_FAST)
def _coordinates(y, e, value, side, delta, q):
    """Step 1: nearest values for both bits (value[24 b + i]), the side of their next value, distances; returns S."""
    total = np.float32(0.0)
    shift = np.float32(e)
    for i in range(24):
        z = y[i] - shift
        r = np.float32(4.0) * np.floor(z * np.float32(0.25) + np.float32(0.5))
        d = z - r
        u = abs(d)
        sign = np.float32(-1.0) if d < np.float32(0.0) else np.float32(1.0)
        value[i] = r + shift
        value[24 + i] = r + shift + np.float32(2.0) * sign
        side[i] = sign
        side[24 + i] = -sign
        delta[i] = u
        delta[24 + i] = np.float32(2.0) - u
        q[i] = np.float32(2.0) * u - np.float32(2.0)
        total += u * u - q[i]
    return total


@njit(**_FAST)
def _cheapest(q, total):
    """A lower bound of D over all words, Golay or not: every coordinate takes its cheaper bit."""
    for i in range(24):
        total -= abs(q[i])
    return total


@njit(**_FAST)
def _correlate(q, total, w, peak, bound):
    """Step 2: w[64 o + 8 k + g] = W_o[k] under g, peak[8 o + g] = max_k |W|, bound[g] = S - sum of peaks."""
    for g in range(8):
        bound[g] = total
    for o in range(3):
        q0, q1, q2, q3 = q[8 * o], q[8 * o + 1], q[8 * o + 2], q[8 * o + 3]
        q4, q5, q6, q7 = q[8 * o + 4], q[8 * o + 5], q[8 * o + 6], q[8 * o + 7]
        for g in range(8):
            a0, a1, a2, a3 = q0 * _FLIP[g], q1 * _FLIP[8 + g], q2 * _FLIP[16 + g], q3 * _FLIP[24 + g]
            a4, a5, a6, a7 = q4 * _FLIP[32 + g], q5 * _FLIP[40 + g], q6 * _FLIP[48 + g], q7 * _FLIP[56 + g]
            b0, b1, b2, b3, b4, b5, b6, b7 = (
                a0 + a1,
                a0 - a1,
                a2 + a3,
                a2 - a3,
                a4 + a5,
                a4 - a5,
                a6 + a7,
                a6 - a7,
            )
            c0, c1, c2, c3, c4, c5, c6, c7 = (
                b0 + b2,
                b1 + b3,
                b0 - b2,
                b1 - b3,
                b4 + b6,
                b5 + b7,
                b4 - b6,
                b5 - b7,
            )
            d0, d1, d2, d3, d4, d5, d6, d7 = (
                c0 + c4,
                c1 + c5,
                c2 + c6,
                c3 + c7,
                c0 - c4,
                c1 - c5,
                c2 - c6,
                c3 - c7,
            )
            at = 64 * o + g
            w[at], w[at + 8], w[at + 16], w[at + 24] = d0, d1, d2, d3
            w[at + 32], w[at + 40], w[at + 48], w[at + 56] = d4, d5, d6, d7
            e0, e1 = max(abs(d0), abs(d1)), max(abs(d2), abs(d3))
            e2, e3 = max(abs(d4), abs(d5)), max(abs(d6), abs(d7))
            top = max(max(e0, e1), max(e2, e3))
            peak[8 * o + g] = top
            bound[g] -= top


@njit(**KERNEL)
def _needed(mode, state):
    """Squared radius that certifies the present best score (search.py has the inequalities)."""
    t = state[_TARGET]
    if mode == BALL:
        return t * t - state[_TAU] * state[_SCORE] + state[_SPARE] + SLACK
    b = state[_SCORE] / state[_LENGTH]
    low, high = state[_LOW] - t * b, state[_HIGH] - t * b
    return t * t * (1.0 - b * b) + max(low * low, high * high) + SLACK


@njit(**KERNEL)
def _consider(mode, norm, x, v, best, state):
    """Step 4: score v by the library's formula, keep it if it wins, and shrink the radius accordingly."""
    dot = 0.0
    for i in range(24):
        dot += x[i] * v[i]
    score = 2.0 * dot - norm * state[_UNIT] if mode == BALL else dot / math.sqrt(norm)
    if state[_FOUND] != 0.0:
        if score < state[_SCORE] or (score == state[_SCORE] and norm > state[_NORM]):
            return
        if score == state[_SCORE] and norm == state[_NORM]:
            i = 0
            while i < 23 and v[i] == best[i]:
                i += 1
            if v[i] <= best[i]:
                return
    state[_SCORE], state[_NORM], state[_FOUND] = score, norm, 1.0
    for i in range(24):
        best[i] = v[i]
    state[_RADIUS2] = min(state[_RADIUS2], _needed(mode, state))


@njit(**KERNEL)
def _promising(mode, norm, dot, state):
    """Whether a point of this norm and (incremental) dot product is admissible and may win."""
    if norm < state[_MIN_NORM] or norm > state[_MAX_NORM]:
        return False
    if state[_FOUND] == 0.0:
        return True
    if mode == BALL:
        return 2.0 * dot - norm * state[_UNIT] >= state[_SCORE] - MARGIN
    return dot >= (state[_SCORE] - MARGIN) * _ROOT[int(norm) >> 4]


@njit(**KERNEL)
def _affordable_moves(word, budget, side, delta, move):
    """Moves of a leaf that cost less than budget, ascending: rows of move = cost, coordinate, signed step of k."""
    count = 0
    for i in range(24):
        at = 24 * ((word >> i) & 1) + i
        near, d = 8.0 * delta[at], side[at]
        for h in range(1, 4):
            if 16.0 * h * h - h * near >= budget:
                break
            for toward in range(2):
                cost = 16.0 * h * h - h * near if toward == 0 else 16.0 * h * h + h * near
                if cost >= budget:
                    break
                n = count
                while n > 0 and move[0, n - 1] > cost:
                    move[0, n], move[1, n], move[2, n] = move[0, n - 1], move[1, n - 1], move[2, n - 1]
                    n -= 1
                move[0, n], move[1, n], move[2, n] = cost, i, (h * d if toward == 0 else -h * d)
                count += 1
    return count


@njit(**KERNEL)
def _visit(mode, depth, x, base, move, path, v, best, state):
    """The point reached by the moves path[4, 1 ... depth]: a candidate if its sum of k has the right parity."""
    if path[3, depth] != 0.0 or not _promising(mode, path[1, depth], path[2, depth], state):
        return
    for i in range(24):
        v[i] = base[i]
    for d in range(1, depth + 1):
        taken = int(path[4, d])
        v[int(move[1, taken])] += 4.0 * move[2, taken]
    _consider(mode, path[1, depth], x, v, best, state)


@njit(**KERNEL)
def _leaf(mode, word, cost, e, x, value, side, delta, base, move, path, v, best, state):
    """Step 3 for one Golay word: visit every point of the word within the radius.

    path[:, d] at depth d: cost so far, norm, dot product, parity of sum k + e, number of the last move taken.
    """
    norm, dot, odd = 0.0, 0.0, e
    for i in range(24):
        bit = (word >> i) & 1
        nearest = value[24 * bit + i]
        base[i] = nearest
        norm += nearest * nearest
        dot += nearest * x[i]
        odd ^= (int(nearest) - 2 * bit - e) >> 2
    path[0, 0], path[1, 0], path[2, 0], path[3, 0] = cost, norm, dot, odd & 1
    count = _affordable_moves(word, state[_RADIUS2] - cost, side, delta, move)
    _visit(mode, 0, x, base, move, path, v, best, state)
    depth, n, used = 0, 0, 0  # next move to try; coordinates moved already
    while True:
        while n < count and used >> int(move[1, n]) & 1:
            n += 1
        if n < count and path[0, depth] + move[0, n] < state[_RADIUS2]:
            i, shift = int(move[1, n]), 4.0 * move[2, n]
            path[0, depth + 1] = path[0, depth] + move[0, n]
            path[1, depth + 1] = path[1, depth] + shift * (2.0 * base[i] + shift)
            path[2, depth + 1] = path[2, depth] + shift * x[i]
            path[3, depth + 1] = (int(path[3, depth]) + int(move[2, n])) & 1
            path[4, depth + 1] = n
            depth += 1
            used |= 1 << i
            n += 1
            _visit(mode, depth, x, base, move, path, v, best, state)
        elif depth == 0:
            return
        else:  # moves ascend in cost, so nothing later fits either: step back and try the next one there
            n = int(path[4, depth]) + 1
            used ^= 1 << int(move[1, n - 1])
            depth -= 1


@njit(**KERNEL)
def _open(mode, total, e, x, value, side, delta, w, peak, bound, base, move, path, v, best, state):
    """All words of one coset whose cost may stay below the radius, which shrinks while we go."""
    for g in range(8):
        if bound[g] >= state[_RADIUS2]:
            continue
        for k1 in range(8):
            w1 = w[8 * k1 + g]
            if total - abs(w1) - peak[8 + g] - peak[16 + g] >= state[_RADIUS2]:
                continue
            for k2 in range(8):
                w2, w3 = w[64 + 8 * k2 + g], w[128 + 8 * (k1 ^ k2) + g]
                if total - abs(w1) - abs(w2) - abs(w3) >= state[_RADIUS2]:
                    continue
                for p in range(8):
                    p1, p2, p3 = p & 1, p >> 1 & 1, p >> 2
                    cost = total + (-w1 if p1 else w1) + (-w2 if p2 else w2) + (-w3 if p3 else w3)
                    if cost < state[_RADIUS2]:
                        flip = p1 ^ p2 ^ p3  # the constant of g; with it come the constants of h(a) and h(b)
                        a, b = 2 * k1 + (p1 ^ flip), 2 * k2 + (p2 ^ flip)
                        word = _WORDS[(2 * g + flip) << 8 | a << 4 | b]
                        _leaf(mode, word, cost, e, x, value, side, delta, base, move, path, v, best, state)


@njit(**KERNEL)
def _search(mode, x, y, cosets, points, path, move, best, state):
    """Enumerate around the target y, widening, until the radius used certifies the best point."""
    correlated = 0
    total0 = _coordinates(y, 0, cosets[0, 0], cosets[0, 1], cosets[0, 2], cosets[0, 3])
    total1 = _coordinates(y, 1, cosets[1, 0], cosets[1, 1], cosets[1, 2], cosets[1, 3])
    radius2 = FIRST_RADIUS2 if state[_FOUND] == 0.0 else min(FIRST_RADIUS2, _needed(mode, state))
    while True:
        state[_RADIUS2] = radius2
        for e in range(2):
            c, total = cosets[e], (total1 if e else total0)
            if _cheapest(c[3], total) < state[_RADIUS2]:
                if not correlated >> e & 1:
                    _correlate(c[3], total, c[4], c[5], c[6])
                    correlated |= 1 << e
                _open(
                    mode, total, e, x, c[0], c[1], c[2], c[4], c[5], c[6],
                    points[0], move, path, points[1], best, state,
                )  # fmt: skip
        if state[_FOUND] != 0.0 and _needed(mode, state) <= radius2:
            return
        radius2 += RADIUS2_STEP  # in steps: what the next step finds may shrink what is needed


@njit(**KERNEL)
def _workspace():
    """Buffers of a thread: per coset value, side, delta, q, W, peak, bound; points base, v, best; path; moves."""
    return np.empty((2, 7, 192), np.float32), np.empty((3, 24)), np.empty((5, 26)), np.empty((3, _MOVES))


@njit(**KERNEL)
def _scaled(block, x):
    """x = block / 2^exponent with max |x| in [1/2, 1), exactly; returns the exponent and |x| (0, 0 for zero)."""
    largest = 0.0
    for i in range(24):
        largest = max(largest, abs(float(block[i])))
    _, exponent = math.frexp(largest)
    squares = 0.0
    for i in range(24):
        x[i] = math.ldexp(float(block[i]), -exponent)
        squares += x[i] * x[i]
    return exponent, math.sqrt(squares)


@njit(**KERNEL)
def directions(blocks, min_norm, max_norm, targets, lows, highs, out):
    """out[n] = the vector of norm min_norm ... max_norm nearest in angle to blocks[n], 0 for a zero block."""
    cosets, points, path, move = _workspace()
    state, x, y = np.zeros(_FIELDS), np.empty(24), np.empty(24, np.float32)
    best = points[2]
    for n in range(blocks.shape[0]):
        _, length = _scaled(blocks[n], x)
        if length == 0.0:
            out[n] = 0
            continue
        state[:] = 0.0
        state[_MIN_NORM], state[_MAX_NORM], state[_LENGTH] = min_norm, max_norm, length
        for g in range(len(targets)):
            state[_TARGET], state[_LOW], state[_HIGH] = targets[g], lows[g], highs[g]
            for i in range(24):
                y[i] = targets[g] / length * x[i]
            _search(DIRECTION, x, y, cosets, points, path, move, best, state)
        for i in range(24):
            out[n, i] = int(best[i])


@njit(**KERNEL)
def points(blocks, scale, norm_cap, out):
    """out[n] = the vector of norm <= norm_cap (UNBOUNDED: any) nearest to blocks[n] / scale."""
    cosets, buffers, path, move = _workspace()
    state, x, y = np.zeros(_FIELDS), np.empty(24), np.empty(24, np.float32)
    best = buffers[2]
    mantissa, scale_exponent = math.frexp(scale)
    reach = math.inf if norm_cap == UNBOUNDED else max(math.sqrt(norm_cap) - PULL, 0.0)
    for n in range(blocks.shape[0]):
        exponent, length = _scaled(blocks[n], x)
        exponent -= scale_exponent
        if length == 0.0 or exponent < -1:  # all |x_i| < 1/2: inside the packing radius sqrt(8) of the origin
            out[n] = 0
            continue
        length /= mantissa
        for i in range(24):
            x[i] /= mantissa  # the block is x 2^exponent from here on
        target = min(math.ldexp(length, exponent), reach)
        state[:] = 0.0
        state[_UNIT] = math.ldexp(1.0, -exponent)
        state[_TARGET], state[_TAU] = target, target / length
        state[_MAX_NORM] = math.inf
        if norm_cap != UNBOUNDED:
            state[_MAX_NORM] = norm_cap
            state[_SPARE] = (1.0 - target / length * state[_UNIT]) * norm_cap
        for i in range(24):
            y[i] = target / length * x[i]
        _search(BALL, x, y, cosets, buffers, path, move, best, state)
        for i in range(24):
            out[n, i] = int(best[i])
