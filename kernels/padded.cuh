// The order of a GPU (llvq_mini/padded.py): a code -> an octad each as eight nibbles, with shifts and masks only.
//
// Coordinates stay unsigned nibbles u = t + 8, v = 2 t + e, until the product: sum v q = 2 sum u q - (16 - e) sum q, and
// sum q is known before. So a block is never turned into signed values at all. An octad of an even vector is listed with
// the coordinates on the word first; __byte_perm puts them in place, with the selector of the octad's byte. Tables as in
// llvq.cuh: one array of bytes, of which all but the list of octads is copied to shared memory (119 kB for the default
// code). That list is long for the sake of rare octads; the common ones stay in the cache. Codes of this order are made
// by the host from checked ones and are not checked again. Tests: tests/test_padded.py.
#pragma once

#include "llvq.cuh"

enum PaddedSlot { P_BUCKETS, P_CELLS, P_WORDS, P_ORDER, P_FACTOR, P_ROWS, P_BITS, P_FIRST_EVEN };

// A decoded block: coordinate i plus `offset` is twice byte i mod 4 of register i / 4.
struct PaddedPoint {
    u32 u[6];
    float factor;
    int offset;  // 16 - e
};

// The `count` low bits of x, and x shifted. Funnel shifts look at the five low bits of a count only, other shifts of the
// language at all of them: so fields of a table are shifted into place and never masked.
__device__ inline u32 low_bits(u32 x, u32 count) { return x & ~__funnelshift_l(0, 0xffffffffu, count); }
__device__ inline u32 shifted(u32 x, u32 count) { return __funnelshift_r(x, 0, count); }

// (a ^ b) & c in one instruction; left alone, the compiler shares a ^ b between two masks and needs three instead of two.
__device__ inline u32 xor_and(u32 a, u32 b, u32 c) {
#ifdef __CUDACC__
    u32 result;
    asm("lop3.b32 %0, %1, %2, %3, 0x28;" : "=r"(result) : "r"(a), "r"(b), "r"(c));
    return result;
#else
    return (a ^ b) & c;
#endif
}

// Pointers are made once, so that a read costs no more than its address.
struct PaddedTables {
    static constexpr int AT_ONCE = 4;  // blocks that a thread decodes side by side, to hide the latency of the reads
    const uint4* cells;
    const u32 *words, *rows;
    const u8 *buckets, *order, *factors;  // read at byte offsets
    int code_bits;
    u32 first_even;  // words of a cell with the first row of an octad are smaller in odd cells, larger in even ones

    // `staged`: where the tables are read; `global`: where they came from, and where the rows stay.
    __device__ PaddedTables(const u8* staged, const u8* global) {
        const int* header = reinterpret_cast<const int*>(staged);
        buckets = staged + header[P_BUCKETS];
        cells = reinterpret_cast<const uint4*>(staged + header[P_CELLS]);
        words = reinterpret_cast<const u32*>(staged + header[P_WORDS]);
        order = staged + header[P_ORDER];
        factors = staged + header[P_FACTOR];
        rows = reinterpret_cast<const u32*>(global + header[P_ROWS]);
        code_bits = header[P_BITS];
        first_even = static_cast<u32>(header[P_FIRST_EVEN]) << 13;
    }
    __device__ int bits() const { return code_bits; }

    __device__ PaddedPoint decode(u64 code) const {
        // A cell starts at a multiple of its size. So its fields are the lower bits of the code itself, and what the
        // upper bits add to the number of the cell and to the first rank is subtracted in the tables, modulo 2^32.
        const u32 upper = static_cast<u32>(code >> (code_bits - 12)) & 0xff8u;  // eight times the upper nine bits
        const uint2 bucket = *reinterpret_cast<const uint2*>(buckets + upper);
        const uint4 cell = cells[bucket.x + static_cast<u32>(code >> bucket.y)];
        const bool odd = cell.y < first_even;

        u32 low = static_cast<u32>(code), high = static_cast<u32>(code >> 32);
        const auto field = [&low, &high](u32 count) {
            const u32 value = low_bits(low, count);
            low = __funnelshift_r(low, high, count);
            high = shifted(high, count);
            return value;
        };
        u32 signs = field(cell.y);
        const u32 word = words[(cell.w >> 20) + field(cell.y >> 5)];  // four times the Golay word
        PaddedPoint p;
        p.offset = odd ? 15 : 16;
        p.factor = reinterpret_cast<const float*>(factors + (cell.w & 0x1e0))[field(cell.w)];
        u32 octads[3];
        octads[2] = rows[(cell.z >> 13) + field(cell.z)];
        octads[1] = rows[(cell.y >> 13) + low_bits(low, cell.z >> 5)];
        octads[0] = rows[cell.x + __funnelshift_r(low, high, cell.z >> 5)];

        // An odd vector is reversed on its word and keeps its order: as an even one whose octads all have weight 8.
        const u32 whole = odd ? 4 * 255 : 0, reversal = odd ? 15 : 14;
        if (odd) signs = word >> 2;
#pragma unroll
        for (int o = 0; o < 3; ++o) {
            const u32 weight = cell.w >> (10 + 5 * o), flips = o < 2 ? low_bits(signs, weight) : signs;
            if (o < 2) signs = shifted(signs, weight);
            // Bit j of eight to the top of nibble NIBBLES[j] (padded.py), and from there to the bits that are reversed.
            const u32 mask = (flips * 0x08040201u & 0x88888888u) >> 3;
            const u32 even_places = xor_and(octads[o], mask * reversal, 0x0f0f0f0fu);
            const u32 odd_places = xor_and(octads[o], mask * reversal, 0xf0f0f0f0u) >> 4;
            const u32 places = *reinterpret_cast<const u32*>(order + ((word >> 8 * o & 4 * 255) | whole));
            p.u[2 * o] = picked(even_places, odd_places, places);
            p.u[2 * o + 1] = picked(even_places, odd_places, places >> 16);
        }
        return p;
    }
};

__device__ inline float factor(const PaddedTables&, const PaddedPoint& p) { return p.factor; }

__device__ inline int coordinate(const PaddedPoint& p, int i) {
    return 2 * static_cast<int>(p.u[i >> 2] >> 8 * (i & 3) & 255) - p.offset;
}
