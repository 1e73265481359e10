// The lattice point nearest in angle to a block, exactly: search.nearest_direction, one warp a block.
//
// The method, its certificates and its tie rule are those of search.py and _listing.py; the steps have the same
// numbers here. Lists may be made in another order and costs be rounded otherwise, because SLACK covers it; the decision
// between two points is the library's one formula in float64 without fused operations, so both machines return the
// same point for every block.
//
// How the work is shared out:
//   1 coordinates    lane i < 24 takes coordinate i
//   2 correlations   lane 8 o + g < 24 takes the transform of octad o under function g
//     opening        for each g, lane l tests the pairs (k1, k2) = l and l + 32 of 64, eight signs each
//   3 leaves         one after another; lanes find and sort the affordable moves, lane 0 walks over their combinations
//   4 scoring        lane 0, sum in order
// On average a block has 6 leaves and few moves, so the serial part is short; sparse blocks pay for it.
//
// Everything a warp remembers lies in its own piece of shared memory, written by some lanes and read by others with
// a warp barrier between. Warps never wait for each other. Tests: tests/test_kernels.py.
#include "llvq.cuh"

constexpr float SLACK = 2e-3f, FIRST_RADIUS2 = 14.5f, RADIUS2_STEP = 1.5f;
constexpr double MARGIN = 1e-10;
constexpr int MOVES = 24 * 6, DEPTH = 26;
constexpr u32 ALL = 0xffffffffu;

struct Coset {
    float value[48], side[48], delta[48];  // by 24 bit + i: nearest value, direction of the next one, distance
    float q[24], w[192], peak[24], bound[8];
    float total, cheapest;
};

struct Search {
    Coset cosets[2];
    double x[24], length, target, low, high;  // the scaled block and |x|; t and sqrt of the extreme norms of the group
    double score;                             // of the best point; norm < 0: none yet
    double path_dot[DEPTH];
    float base[24], move_cost[MOVES], path_cost[DEPTH], radius2;
    int norm, min_norm, max_norm, path_norm[DEPTH];
    i8 best[24], v[24], move_coordinate[MOVES], move_step[MOVES];
    u8 path_odd[DEPTH], path_move[DEPTH];
};
static_assert(sizeof(Search) == 4880, "gpu.SEARCH_BYTES says how much shared memory a warp gets");

__device__ inline float warp_sum(float x) {
    for (int mask = 16; mask > 0; mask >>= 1) x += __shfl_xor_sync(ALL, x, mask);
    return x;
}

// Step 1, and the transform's input. Lanes 24 ... 31 contribute nothing.
__device__ inline void coordinates(Coset& c, float y, int e, int lane) {
    float share = 0.0f, gain = 0.0f;
    if (lane < 24) {
        const float z = y - e, r = 4.0f * floorf(z * 0.25f + 0.5f), d = z - r, u = fabsf(d);
        const float side = d < 0.0f ? -1.0f : 1.0f;
        c.value[lane] = r + e;
        c.value[24 + lane] = r + e + 2.0f * side;
        c.side[lane] = side;
        c.side[24 + lane] = -side;
        c.delta[lane] = u;
        c.delta[24 + lane] = 2.0f - u;
        c.q[lane] = 2.0f * u - 2.0f;
        share = u * u - c.q[lane];
        gain = fabsf(c.q[lane]);
    }
    const float total = warp_sum(share), gains = warp_sum(gain);
    if (lane == 0) {
        c.total = total;
        c.cheapest = total - gains;
    }
}

// Step 2: w[64 o + 8 k + g], their peaks, and the bound of every function g, for after the next barrier.
__device__ inline void correlate(Coset& c, const u32* golay, int lane) {
    if (lane < 24) {
        const int octad = lane >> 3, g = lane & 7;
        const u32 flips = golay[g << 9] & 255;  // word x = 2 g, a = b = 0: the function itself, three times
        float a[8], peak = 0.0f;
#pragma unroll
        for (int i = 0; i < 8; ++i) a[i] = flips >> i & 1 ? -c.q[8 * octad + i] : c.q[8 * octad + i];
#pragma unroll
        for (int half = 1; half < 8; half *= 2)
#pragma unroll
            for (int i = 0; i < 8; ++i)
                if (!(i & half)) {
                    const float first = a[i], second = a[i + half];
                    a[i] = first + second;
                    a[i + half] = first - second;
                }
#pragma unroll
        for (int k = 0; k < 8; ++k) {
            c.w[64 * octad + 8 * k + g] = a[k];
            peak = fmaxf(peak, fabsf(a[k]));
        }
        c.peak[lane] = peak;
    }
    __syncwarp();
    if (lane < 8) c.bound[lane] = c.total - c.peak[lane] - c.peak[8 + lane] - c.peak[16 + lane];
}

// Squared radius that certifies the present best score.
__device__ inline float needed(const Search& s) {
    const double t = s.target, b = s.score / s.length, low = s.low - t * b, high = s.high - t * b;
    const double farthest = low * low > high * high ? low * low : high * high;
    return static_cast<float>(t * t * (1.0 - b * b) + farthest) + SLACK;
}

// Step 4, lane 0: keep s.v if it wins.
__device__ inline void consider(Search& s, int norm) {
    double dot = 0.0;
    for (int i = 0; i < 24; ++i) dot = __dadd_rn(dot, __dmul_rn(s.x[i], static_cast<double>(s.v[i])));
    const double score = __ddiv_rn(dot, __dsqrt_rn(static_cast<double>(norm)));
    if (s.norm >= 0) {
        if (score < s.score || (score == s.score && norm > s.norm)) return;
        if (score == s.score && norm == s.norm) {
            int i = 0;
            while (i < 23 && s.v[i] == s.best[i]) ++i;
            if (s.v[i] <= s.best[i]) return;
        }
    }
    s.score = score;
    s.norm = norm;
    for (int i = 0; i < 24; ++i) s.best[i] = s.v[i];
    s.radius2 = fminf(s.radius2, needed(s));
}

// The point reached by moves 1 ... depth of the path: a candidate if its sum of k has the right parity.
__device__ inline void visit(Search& s, int depth) {
    const int norm = s.path_norm[depth];
    if (s.path_odd[depth] || norm < s.min_norm || norm > s.max_norm) return;
    if (s.norm >= 0 && s.path_dot[depth] < (s.score - MARGIN) * __dsqrt_rn(static_cast<double>(norm))) return;
    for (int i = 0; i < 24; ++i) s.v[i] = static_cast<i8>(s.base[i]);
    for (int d = 1; d <= depth; ++d) s.v[s.move_coordinate[s.path_move[d]]] += 4 * s.move_step[s.path_move[d]];
    consider(s, norm);
}

// Step 3, lane 0: all affordable combinations of moves, at most one a coordinate, depth first.
__device__ OUT_OF_LINE void walk(Search& s, int count) {
    visit(s, 0);
    int depth = 0, n = 0;
    u32 used = 0;
    for (;;) {
        while (n < count && used >> s.move_coordinate[n] & 1) ++n;
        if (n < count && s.path_cost[depth] + s.move_cost[n] < s.radius2) {
            const int i = s.move_coordinate[n], shift = 4 * s.move_step[n];
            s.path_cost[depth + 1] = s.path_cost[depth] + s.move_cost[n];
            s.path_norm[depth + 1] = s.path_norm[depth] + shift * (2 * static_cast<int>(s.base[i]) + shift);
            s.path_dot[depth + 1] = s.path_dot[depth] + shift * s.x[i];
            s.path_odd[depth + 1] = (s.path_odd[depth] ^ s.move_step[n]) & 1;
            s.path_move[++depth] = n++;
            used |= 1u << i;
            visit(s, depth);
        } else if (depth == 0) {
            return;
        } else {  // moves ascend in cost: nothing later fits either
            n = s.path_move[depth--] + 1;
            used ^= 1u << s.move_coordinate[n - 1];
        }
    }
}

// The moves of a leaf that cost less than budget, ascending by cost; returns their number.
__device__ inline int affordable_moves(Search& s, float near, float side, float budget, int lane) {
    int count = 0;
#pragma unroll 1
    for (int kind = 0; kind < 6; ++kind) {  // h = 1, 2, 3, towards the target and away from it
        const int h = kind / 2 + 1;
        const float cost = 16.0f * h * h + (kind & 1 ? 8.0f : -8.0f) * h * near;
        const bool fits = lane < 24 && cost < budget;
        const u32 fitting = __ballot_sync(ALL, fits);
        if (fits) {
            const int at = count + __popc(fitting & ((1u << lane) - 1));
            s.move_cost[at] = cost;
            s.move_coordinate[at] = lane;
            s.move_step[at] = static_cast<i8>(kind & 1 ? -h * side : h * side);
        }
        count += __popc(fitting);
    }
    __syncwarp();
    // Sorting by counting: lane l holds moves l, l + 32, ... and finds the rank of each.
    float cost[5];
    i8 which[5], step[5];
    for (int j = 0, i = lane; i < count; i += 32, ++j) {
        cost[j] = s.move_cost[i];
        which[j] = s.move_coordinate[i];
        step[j] = s.move_step[i];
    }
    int rank[5];
    for (int j = 0, i = lane; i < count; i += 32, ++j) {
        rank[j] = 0;
        for (int other = 0; other < count; ++other) {
            const float theirs = s.move_cost[other];
            rank[j] += theirs < cost[j] || (theirs == cost[j] && other < i);
        }
    }
    __syncwarp();
    for (int j = 0, i = lane; i < count; i += 32, ++j) {
        s.move_cost[rank[j]] = cost[j];
        s.move_coordinate[rank[j]] = which[j];
        s.move_step[rank[j]] = step[j];
    }
    __syncwarp();
    return count;
}

// Step 3: every point of one Golay word within the radius.
__device__ OUT_OF_LINE void leaf(Search& s, const Coset& c, u32 word, float cost, int e, int lane) {
    float near = 0.0f, side = 0.0f;
    int norm = 0, k = 0;
    double dot = 0.0;
    if (lane < 24) {
        const int bit = word >> lane & 1, at = 24 * bit + lane, value = static_cast<int>(c.value[at]);
        near = c.delta[at];
        side = c.side[at];
        s.base[lane] = c.value[at];
        norm = value * value;
        dot = value * s.x[lane];
        k = (value - 2 * bit - e) >> 2 & 1;
    }
    const int odd = (__popc(__ballot_sync(ALL, k)) + e) & 1;
    for (int mask = 16; mask > 0; mask >>= 1) {
        norm += __shfl_xor_sync(ALL, norm, mask);
        dot += __shfl_xor_sync(ALL, dot, mask);
    }
    const int count = affordable_moves(s, near, side, s.radius2 - cost, lane);
    if (lane == 0) {
        s.path_cost[0] = cost;
        s.path_norm[0] = norm;
        s.path_dot[0] = dot;
        s.path_odd[0] = odd;
        walk(s, count);
    }
    __syncwarp();
}

__device__ inline float with_sign(float w, int negative) { return negative ? -w : w; }

// All words of a coset whose cost may stay below the radius, which shrinks while we go.
__device__ inline void open_coset(Search& s, const Coset& c, const u32* golay, int e, int lane) {
    for (int g = 0; g < 8; ++g) {
        if (c.bound[g] >= s.radius2) continue;
        for (int half = 0; half < 64; half += 32) {
            const int pair = half + lane, k1 = pair >> 3, k2 = pair & 7;
            const float w1 = c.w[8 * k1 + g], w2 = c.w[64 + 8 * k2 + g], w3 = c.w[128 + 8 * (k1 ^ k2) + g];
            u32 signs = 0;
            if (c.total - fabsf(w1) - fabsf(w2) - fabsf(w3) < s.radius2)
                for (int p = 0; p < 8; ++p) {
                    const float cost = c.total + with_sign(w1, p & 1) + with_sign(w2, p & 2) + with_sign(w3, p & 4);
                    if (cost < s.radius2) signs |= 1u << p;
                }
            for (u32 lanes = __ballot_sync(ALL, signs != 0); lanes; lanes &= lanes - 1) {
                const int from = __ffs(lanes) - 1, one = (half + from) >> 3, two = (half + from) & 7;
                const float v1 = __shfl_sync(ALL, w1, from), v2 = __shfl_sync(ALL, w2, from);
                const float v3 = __shfl_sync(ALL, w3, from);
                for (u32 left = __shfl_sync(ALL, signs, from); left; left &= left - 1) {
                    const int p = __ffs(left) - 1, p1 = p & 1, p2 = p >> 1 & 1, p3 = p >> 2, flip = p1 ^ p2 ^ p3;
                    const float cost = c.total + with_sign(v1, p1) + with_sign(v2, p2) + with_sign(v3, p3);
                    if (cost >= s.radius2) continue;  // the radius shrank meanwhile
                    const int a = 2 * one + (p1 ^ flip), b = 2 * two + (p2 ^ flip);
                    leaf(s, c, golay[(2 * g + flip) << 8 | a << 4 | b], cost, e, lane);
                }
            }
        }
    }
}

// Enumerates around t x, widening, until the radius used certifies the best point.
__device__ inline void search_group(Search& s, const u32* golay, int lane) {
    const float y = lane < 24 ? static_cast<float>(s.target / s.length * s.x[lane]) : 0.0f;
    for (int e = 0; e < 2; ++e) {
        coordinates(s.cosets[e], y, e, lane);
        __syncwarp();
        correlate(s.cosets[e], golay, lane);
    }
    float radius2 = s.norm < 0 ? FIRST_RADIUS2 : fminf(FIRST_RADIUS2, needed(s));
    for (;;) {
        __syncwarp();
        if (lane == 0) s.radius2 = radius2;
        __syncwarp();
        for (int e = 0; e < 2; ++e)
            if (s.cosets[e].cheapest < s.radius2) open_coset(s, s.cosets[e], golay, e, lane);
        if (s.norm >= 0 && needed(s) <= radius2) return;
        radius2 += RADIUS2_STEP;
    }
}

// s.x = block / 2^exponent with max |x| in [1/2, 1), exactly; false for a zero block.
template <typename T>
__device__ inline bool load_block(Search& s, const T* block, int lane) {
    const double x = lane < 24 ? static_cast<double>(block[lane]) : 0.0;
    double largest = fabs(x);
    for (int mask = 16; mask > 0; mask >>= 1) {
        const double other = __shfl_xor_sync(ALL, largest, mask);
        largest = other > largest ? other : largest;
    }
    if (largest == 0.0) return false;
    int exponent;
    frexp(largest, &exponent);
    const double scaled = ldexp(x, -exponent);
    double squares = scaled * scaled;
    for (int mask = 16; mask > 0; mask >>= 1) squares += __shfl_xor_sync(ALL, squares, mask);
    __syncwarp();
    if (lane < 24) s.x[lane] = scaled;
    if (lane == 0) {
        s.length = sqrt(squares);
        s.norm = -1;
        s.score = 0.0;
    }
    __syncwarp();
    return true;
}

template <typename T>
__device__ inline void nearest_direction(const T* blocks, i64 n, int min_shell, int max_shell, int groups,
                                         const double* group, const u32* golay, const i8* of_zero, i8* out) {
    Search& s = reinterpret_cast<Search*>(llvq_shared)[threadIdx.x >> 5];
    const int lane = threadIdx.x & 31, warps = gridDim.x * (blockDim.x >> 5);
    if (lane == 0) {
        s.min_norm = 16 * min_shell;
        s.max_norm = 16 * max_shell;
    }
    for (i64 k = blockIdx.x * (blockDim.x >> 5) + (threadIdx.x >> 5); k < n; k += warps) {
        const bool direction = load_block(s, blocks + 24 * k, lane);
        for (int j = 0; direction && j < groups; ++j) {
            if (lane == 0) {
                s.target = group[3 * j];
                s.low = group[3 * j + 1];
                s.high = group[3 * j + 2];
            }
            __syncwarp();
            search_group(s, golay, lane);
            __syncwarp();
        }
        if (lane < 24) out[24 * k + lane] = direction ? s.best[lane] : of_zero[lane];
        __syncwarp();
    }
}

// blocks (n, 24), finite; group: groups rows of t, 4 sqrt(first shell), 4 sqrt(last shell); golay: golay.WORDS;
// of_zero: the answer for a zero block; out: int8 (n, 24).
#define NEAREST_DIRECTION(name, T)                                                                                 \
    extern "C" __global__ void name(const T* blocks, i64 n, int min_shell, int max_shell, int groups,              \
                                    const double* group, const u32* golay, const i8* of_zero, i8* out) {           \
        nearest_direction(blocks, n, min_shell, max_shell, groups, group, golay, of_zero, out);                    \
    }
NEAREST_DIRECTION(nearest_direction_fp32, float)
NEAREST_DIRECTION(nearest_direction_fp64, double)
