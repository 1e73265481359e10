// What every kernel shares: a packed code -> a lattice point (24 bytes) and its gain.
//
//     code -> gain (the last whose first code is <= code) -> index -> shell and kind of block -> Golay word, signs, tree
//     rank -> excess of three octads -> six quads -> reversals -> order of the coordinates
//
// This is llvq_mini/index.py line by line; the essay there explains the scheme, this file only what a GPU adds. One
// thread decodes one block. A block needs no other block, so nothing here synchronizes.
//
// Tables. The host hands over one array of bytes: a header of 32 integers (slots below), then the library's own
// arrays as they lie in memory, int64 tables included, each on a multiple of 16 bytes. A kernel copies all of it to
// shared memory where it fits (113 kB at cap 12), or reads it in place. Four arrays are derived by the host
// (llvq_mini/gpu.py): `order`, where the coordinates of an octad find their values, `factor`, gain / |v|, and the
// reciprocals of the two tables by which ranks are divided.
//
// Points travel as six registers of four signed bytes, coordinate i in byte i mod 4 of register i / 4. Reversals work
// on four coordinates at once: with m = 0xff in the bytes to reverse, (v ^ m) + (m & 0x01010101) is -v there. No carry
// crosses a byte, because only ~0 + 1 would make one and a reversed value is never 0.
//
// Codes are checked when a file is opened. An index beyond the ball, from damaged memory, is clamped to the last point,
// so that no table is ever read outside its bounds.
//
// The same text is compiled by nvcc, by NVRTC and, with host_shim.h for the language extensions, by any C++ compiler.
// Tests: tests/test_kernels.py.
#pragma once

#ifdef __CUDACC__
#define OUT_OF_LINE __noinline__
#else
#define OUT_OF_LINE inline
#include "host_shim.h"
#endif

typedef unsigned char u8;
typedef signed char i8;
typedef short i16;
typedef unsigned short u16;
typedef unsigned int u32;
typedef long long i64;
typedef unsigned long long u64;

extern __shared__ __align__(16) u8 llvq_shared[];

// Slots of the header: byte offsets of the arrays, then counts.
enum Slot {
    START, LIMITS, FIRST, ROW_EXCESS, ROW_KIND, ROW_SIZE, WORDS, WORD_START, SIGN_BITS, LEFT, RIGHT, ORIGIN, CUMULATIVE,
    TOTAL, BLOCK_NODE, QUAD, QUAD_START, GOLAY, ORDER, FACTOR, ROW_INVERSE, INVERSE, BITS, LEVELS, ROWS, EXCESSES,
    QUAD_EXCESSES
};

// A decoded block: coordinates, shell |v|^2 / 16, number of the gain.
struct Point {
    u32 v[6];
    int shell, level;
};

struct Tables {
    static constexpr int AT_ONCE = 1;
    const u8* blob;

    // `staged`: where the tables are read; `global`: where they came from.
    __device__ Tables(const u8* staged, const u8* global) : blob(staged) { (void)global; }

    __device__ int count(Slot slot) const { return reinterpret_cast<const int*>(blob)[slot]; }
    template <typename T>
    __device__ T at(Slot slot, i64 position) const {
        return reinterpret_cast<const T*>(blob + count(slot))[position];
    }
    __device__ int left(int node) const { return at<int>(LEFT, 2 * node); }
    __device__ int right(int node) const { return at<int>(RIGHT, 2 * node); }
    __device__ int bits() const { return count(BITS); }
    __device__ inline Point decode(u64 code) const;
    __device__ i64 wide(Slot slot, i64 position) const { return at<i64>(slot, position); }
};

// body(tables), with the tables in shared memory if the launch gave it `shared_bytes` for them. Every thread of the block
// must call it. Two calls of the body instead of one pointer: the compiler then knows which memory it reads.
template <typename Order, typename Body>
__device__ inline void with_tables(const u8* blob, int shared_bytes, Body body) {
    if (shared_bytes == 0) {
        body(Order(blob, blob));
        return;
    }
    const uint4* from = reinterpret_cast<const uint4*>(blob);
    uint4* to = reinterpret_cast<uint4*>(llvq_shared);
    for (int i = threadIdx.x; i < shared_bytes / 16; i += blockDim.x) to[i] = from[i];
    __syncthreads();
    body(Order(llvq_shared, blob));
}

// Code n of a stream of `bits`-bit codes (pack.py). The stream is padded to whole words, with two words to spare, and
// has fewer than 2^32 words: three of them and two funnel shifts take no decision and little arithmetic.
__device__ inline u64 unpack_code(const u32* stream, u32 n, int bits) {
    const u64 at = static_cast<u64>(n) * static_cast<u32>(bits);
    const u32 shift = static_cast<u32>(at);
    const u32* word = stream + __funnelshift_r(shift, static_cast<u32>(at >> 32), 5);
    const u32 low = __funnelshift_r(word[0], word[1], shift);
    const u32 high = __funnelshift_r(word[1], word[2], shift);
    return (static_cast<u64>(high) << 32 | low) & (~0ull >> (64 - bits));
}

// __byte_perm for a selector whose nibbles are below 8; that one clears their upper bits first, an instruction a call.
__device__ inline u32 picked(u32 a, u32 b, u32 selector) {
#ifdef __CUDACC__
    u32 bytes;
    asm("prmt.b32 %0, %1, %2, %3;" : "=r"(bytes) : "r"(a), "r"(b), "r"(selector));
    return bytes;
#else
    return __byte_perm(a, b, selector);
#endif
}

// 0xff in byte j where bit j of the four low bits is set.
__device__ inline u32 byte_mask(u32 four_bits) { return ((four_bits & 15) * 0x00204081u & 0x01010101u) * 255u; }

__device__ inline u32 reversed(u32 v, u32 mask) { return (v ^ mask) + (mask & 0x01010101u); }

// n / size and the remainder, with the reciprocal of size from a table: a quotient below 2^40 is off by one at most.
// The division of the language takes some hundred instructions instead.
__device__ inline i64 divide(i64 n, i64 size, double inverse, i64& remainder) {
    i64 quotient = static_cast<i64>(static_cast<double>(n) * inverse);
    remainder = n - quotient * size;
    if (remainder < 0) --quotient, remainder += size;
    if (remainder >= size) ++quotient, remainder -= size;
    return quotient;
}

// A rank of a node with excess n: the excess of its left half (returned), the rank of the left and of the right half.
__device__ inline int split(const Tables& t, int node, int n, i64 rank, i64& upper, i64& lower) {
    const int at = static_cast<int>(t.wide(ORIGIN, node)) + n * (n + 1) / 2;
    int a = 0;
    while (a < n && t.wide(CUMULATIVE, at + a + 1) <= rank) ++a;
    const int right = t.right(node) * t.count(EXCESSES) + n - a;
    upper = divide(rank - t.wide(CUMULATIVE, at + a), t.wide(TOTAL, right), t.at<double>(INVERSE, right), lower);
    return a;
}

// The same for an octad, whose counts fit 32 bits: the low words of the tables are enough.
__device__ inline int split_octad(const Tables& t, int node, int n, u32 rank, u32& upper, u32& lower) {
    const int at = static_cast<int>(t.wide(ORIGIN, node)) + n * (n + 1) / 2;
    int a = 0;
    while (a < n && t.at<u32>(CUMULATIVE, 2 * (at + a + 1)) <= rank) ++a;
    rank -= t.at<u32>(CUMULATIVE, 2 * (at + a));
    const u32 size = t.at<u32>(TOTAL, 2 * (t.right(node) * t.count(EXCESSES) + n - a));
    upper = rank / size;
    lower = rank - upper * size;
    return a;
}

// The last of `count` ascending numbers that is <= value.
__device__ inline int last_at_most(const Tables& t, Slot slot, int count, i64 value) {
    int low = 0, high = count;
    while (high - low > 1) {
        const int middle = (low + high) >> 1;
        if (t.wide(slot, middle) <= value) low = middle;
        else high = middle;
    }
    return low;
}

// Eight coordinates: two quads in tree order, reversals, and for even vectors the order of the word's byte.
__device__ inline void put_octad(const Tables& t, int node, int n, u32 rank, u32 byte, u32 flips, bool odd, u32* v) {
    u32 upper, lower;
    const int a = split_octad(t, node, n, rank, upper, lower), stride = t.count(QUAD_EXCESSES);
    const u32 one = t.at<u32>(QUAD_START, 2 * (t.left(node) * stride + a)) + upper;
    const u32 two = t.at<u32>(QUAD_START, 2 * (t.right(node) * stride + n - a)) + lower;
    const u32 first = reversed(t.at<u32>(QUAD, one), byte_mask(flips));
    const u32 second = reversed(t.at<u32>(QUAD, two), byte_mask(flips >> 4));
    const u32 order = odd ? 0x76543210u : t.at<u32>(ORDER, byte);
    v[0] = picked(first, second, order);
    v[1] = picked(first, second, order >> 16);
}

// The point with this index, and its shell.
__device__ inline void decode_index(const Tables& t, i64 index, Point& p) {
    const int r = last_at_most(t, FIRST, t.count(ROWS), index);
    const int kind = t.wide(ROW_KIND, r), n = t.wide(ROW_EXCESS, r), bits = t.wide(SIGN_BITS, kind);
    const bool odd = kind == 0;
    i64 rank;
    const i64 choice = divide(index - t.wide(FIRST, r), t.wide(ROW_SIZE, r), t.at<double>(ROW_INVERSE, r), rank);
    const int number = odd ? choice : t.at<i16>(WORDS, t.wide(WORD_START, kind) + (choice >> bits));
    const u32 word = t.at<u32>(GOLAY, number);
    u32 signs = static_cast<u32>(choice) & ((1u << bits) - 1);
    if (bits > 0) signs |= ((__popc(signs) ^ n) & 1) << bits;
    p.shell = odd ? (n + 3) >> 1 : n + (bits > 0 ? (bits + 1) >> 2 : 0);

    i64 rank1, rank2, rank3;
    const int root = t.wide(BLOCK_NODE, kind), pair = t.right(root);
    const int a = split(t, root, n, rank, rank1, rank);
    const int b = split(t, pair, n - a, rank, rank2, rank3);
    const int nodes[3] = {t.left(root), t.left(pair), t.right(pair)}, excess[3] = {a, b, n - a - b};
    const u32 ranks[3] = {static_cast<u32>(rank1), static_cast<u32>(rank2), static_cast<u32>(rank3)};
#pragma unroll
    for (int o = 0; o < 3; ++o) {
        const u32 byte = word >> 8 * o & 255;
        const int weight = __popc(byte);
        const u32 flips = odd ? byte : signs & ((1u << weight) - 1);  // only coordinates on the word are reversed
        signs >>= weight;
        put_octad(t, nodes[o], excess[o], ranks[o], byte, flips, odd, p.v + 2 * o);
    }
}

// A code of any Leech codebook: codes of gain g begin at start[g], and its points at index limits[0].
__device__ inline Point Tables::decode(u64 code) const {
    const Tables& t = *this;
    Point p;
    p.level = last_at_most(t, START, t.count(LEVELS), static_cast<i64>(code));
    i64 index = static_cast<i64>(code) - t.wide(START, p.level) + t.wide(LIMITS, 0);
    const i64 last = t.wide(LIMITS, 1);
    if (static_cast<u64>(index) > static_cast<u64>(last)) index = last;
    decode_index(t, index, p);
    return p;
}

// gain / |v| of a decoded block, as gain.scaled_directions rounds it; the scale of a ball code.
__device__ inline float factor(const Tables& t, const Point& p) { return t.at<float>(FACTOR, p.level * 32 + p.shell); }

__device__ inline int coordinate(const Point& p, int i) { return static_cast<i8>(p.v[i >> 2] >> 8 * (i & 3) & 255); }

// Bits of the nearest half (ties to even), the value of half bits, and bits of the nearest bfloat16 of a finite float.
__device__ inline u16 half_bits(float x) {
#ifdef __CUDACC__
    u16 bits;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(bits) : "f"(x));
    return bits;
#else
    return shim::half_bits(x);
#endif
}

__device__ inline float half_value(u16 bits) {
#ifdef __CUDACC__
    float x;
    asm("cvt.f32.f16 %0, %1;" : "=f"(x) : "h"(bits));
    return x;
#else
    return shim::half_value(bits);
#endif
}

__device__ inline u16 bfloat_bits(float x) {
    const u32 bits = __float_as_uint(x);
    return (bits + 0x7fffu + (bits >> 16 & 1)) >> 16;
}
