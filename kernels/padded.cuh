// The order of a GPU (llvq_mini/padded.py): a code -> an octad each as eight nibbles, with shifts and masks only.
//
// Coordinates stay unsigned nibbles u = t + 8, v = 2 t + e, until the product: sum v q = 2 sum u q - (16 - e) sum q, and
// sum q is known before. So a block is never turned into signed values at all. An octad of an even vector is listed with
// the coordinates on the word first; __byte_perm puts them in place, with the selector of the octad's byte. Tables as in
// llvq.cuh: one array of bytes, of which all but the list of octads is copied to shared memory (116 kB for the default
// code). That list is long for the sake of rare octads; the common ones stay in the cache. Codes of this order are made
// by the host from checked ones and are not checked again. Tests: tests/test_padded.py.
#pragma once

#include "llvq.cuh"

enum PaddedSlot {
    P_FIRST_CODE, P_FIRST_CELL, P_GUESS, P_CELLS, P_KINDS, P_WORDS, P_ORDER, P_FACTOR, P_ROWS, P_BITS, P_LARGEST
};

// A decoded block: coordinate i plus `offset` is twice byte i mod 4 of register i / 4.
struct PaddedPoint {
    u32 u[6];
    float factor;
    int offset;  // 16 - e
};

// Bit i of eight to all four bits of nibble i; products only shift here.
__device__ inline u32 nibble_mask(u32 x) {
    x = x * 4097u & 0x000f000fu;
    x = x * 65u & 0x03030303u;
    x = x * 9u & 0x11111111u;
    return x * 15u;
}

// The `count` low bits of x. Shifts look at the five low bits of a count only, so fields of a table are shifted into
// place and never masked.
__device__ inline u32 low_bits(u32 x, u32 count) { return x & ~(0xffffffffu << (count & 31)); }

// Pointers are made once, so that a read costs no more than its address.
struct PaddedTables {
    static constexpr int AT_ONCE = 4;  // blocks that a thread decodes side by side, to hide the latency of the reads
    const u64* first_code;
    const u32* first_cell;
    const u8* guess;
    const uint4* cells;
    const u32 *kinds, *words, *order, *rows;
    const float* factors;
    int code_bits, largest;

    // `staged`: where the tables are read; `global`: where they came from, and where the rows stay.
    __device__ PaddedTables(const u8* staged, const u8* global) {
        const int* header = reinterpret_cast<const int*>(staged);
        first_code = reinterpret_cast<const u64*>(staged + header[P_FIRST_CODE]);
        first_cell = reinterpret_cast<const u32*>(staged + header[P_FIRST_CELL]);
        guess = staged + header[P_GUESS];
        cells = reinterpret_cast<const uint4*>(staged + header[P_CELLS]);
        kinds = reinterpret_cast<const u32*>(staged + header[P_KINDS]);
        words = reinterpret_cast<const u32*>(staged + header[P_WORDS]);
        order = reinterpret_cast<const u32*>(staged + header[P_ORDER]);
        factors = reinterpret_cast<const float*>(staged + header[P_FACTOR]);
        rows = reinterpret_cast<const u32*>(global + header[P_ROWS]);
        code_bits = header[P_BITS];
        largest = header[P_LARGEST];
    }
    __device__ int bits() const { return code_bits; }

    __device__ PaddedPoint decode(u64 code) const {
        int s = guess[static_cast<u32>(code >> (code_bits - 9))];
        while (code >= first_code[s + 1]) ++s;
        // A cell starts at a multiple of its size. So its fields are the lower bits of the code itself, and what the
        // upper bits add to the number of the cell and to the first rank is subtracted in the tables, modulo 2^32.
        const uint4 cell = cells[first_cell[s] + static_cast<u32>(code >> (largest - s))];
        const u32 other = cell.w, k = kinds[other >> 10 & 31];
        const bool odd = (other >> 10 & 31) == 0;

        u32 low = static_cast<u32>(code), high = static_cast<u32>(code >> 32);
        const auto drop = [&low, &high](u32 count) {
            low = __funnelshift_r(low, high, count);
            high >>= count & 31;
        };
        u32 signs = low_bits(low, k);
        signs |= (__popc(signs | (other & 0x80000000u)) & 1) << (k & 31);  // the last sign follows from the others
        drop(k);
        const u32 word = words[(k >> 10) + low_bits(low, k >> 5)];
        drop(k >> 5);
        PaddedPoint p;
        p.offset = odd ? 15 : 16;
        p.factor = factors[(other >> 12 & 0xf8) + low_bits(low, other >> 20)];
        drop(other >> 20);
        u32 octads[3];
        octads[2] = rows[cell.z + low_bits(low, other >> 5)];
        drop(other >> 5);
        octads[1] = rows[cell.y + low_bits(low, other)];
        octads[0] = rows[cell.x + __funnelshift_r(low, high, other)];

        // An odd vector is reversed on its word and keeps its order: as an even one whose octads all have weight 8.
        const u32 whole = odd ? 255 : 0, reversible = odd ? 0xffffffffu : 0xeeeeeeeeu;
        if (odd) signs = word;
#pragma unroll
        for (int o = 0; o < 3; ++o) {
            const u32 byte = (word >> 8 * o & 255) | whole, weight = __popc(byte);
            const u32 flips = o < 2 ? low_bits(signs, weight) : signs;
            signs >>= weight;
            const u32 octad = octads[o] ^ (nibble_mask(flips) & reversible);
            const u32 even_places = octad & 0x0f0f0f0fu, odd_places = octad >> 4 & 0x0f0f0f0fu;
            const u32 places = order[byte];
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
