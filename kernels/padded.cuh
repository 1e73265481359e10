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

// Bit i of eight to all four bits of nibble i (times 15) or to the upper three (times 14); products only shift here.
__device__ inline u32 nibble_mask(u32 x, u32 times) {
    x = x * 4097u & 0x000f000fu;
    x = x * 65u & 0x03030303u;
    x = x * 9u & 0x11111111u;
    return x * times;
}

__device__ inline u32 low_bits(u32 x, u32 count) { return x & ((1u << count) - 1); }

struct PaddedTables {
    const u8* blob;
    const u32* rows;

    __device__ PaddedTables(const u8* staged, const u8* global)
        : blob(staged), rows(reinterpret_cast<const u32*>(global + reinterpret_cast<const int*>(global)[P_ROWS])) {}

    __device__ int count(PaddedSlot slot) const { return reinterpret_cast<const int*>(blob)[slot]; }
    __device__ int bits() const { return count(P_BITS); }
    template <typename T>
    __device__ T at(PaddedSlot slot, u32 position) const {
        return reinterpret_cast<const T*>(blob + count(slot))[position];
    }

    __device__ PaddedPoint decode(u64 code) const {
        int s = at<u8>(P_GUESS, static_cast<u32>(code >> (bits() - 9)));
        while (code >= at<u64>(P_FIRST_CODE, s + 1)) ++s;
        const u64 within = code - at<u64>(P_FIRST_CODE, s);
        const int size = count(P_LARGEST) - s;
        const uint4 cell = at<uint4>(P_CELLS, at<u32>(P_FIRST_CELL, s) + static_cast<u32>(within >> size));
        const u32 other = cell.w, kind = other >> 8 & 31, shell = other >> 13 & 15;
        const u32 k = at<u32>(P_KINDS, kind), free_signs = k & 31, gain_bits = other >> 17 & 3;
        const bool odd = kind == 0;

        u64 rest = within & ((1ull << size) - 1);
        u32 signs = low_bits(static_cast<u32>(rest), free_signs);
        signs |= ((__popc(signs) ^ (shell - (k >> 21))) & 1) << free_signs;
        rest >>= free_signs;
        const u32 word = at<u32>(P_WORDS, (k >> 9 & 4095) + low_bits(static_cast<u32>(rest), k >> 5 & 15));
        rest >>= k >> 5 & 15;
        PaddedPoint p;
        p.offset = odd ? 15 : 16;
        p.factor = at<float>(P_FACTOR, shell * 8 + low_bits(static_cast<u32>(rest), gain_bits));
        rest >>= gain_bits;
        u32 octads[3];
        octads[2] = rows[cell.z + low_bits(static_cast<u32>(rest), other >> 4 & 15)];
        rest >>= other >> 4 & 15;
        octads[1] = rows[cell.y + low_bits(static_cast<u32>(rest), other & 15)];
        octads[0] = rows[cell.x + static_cast<u32>(rest >> (other & 15))];
#pragma unroll
        for (int o = 0; o < 3; ++o) {
            const u32 byte = word >> 8 * o & 255, weight = __popc(byte);
            const u32 flips = odd ? byte : low_bits(signs, weight);
            signs >>= weight;
            const u32 octad = octads[o] ^ nibble_mask(flips, odd ? 15 : 14);
            const u32 even_places = octad & 0x0f0f0f0fu, odd_places = octad >> 4 & 0x0f0f0f0fu;
            const u32 order = odd ? 0x73625140u : at<u32>(P_ORDER, byte);
            p.u[2 * o] = __byte_perm(even_places, odd_places, order);
            p.u[2 * o + 1] = __byte_perm(even_places, odd_places, order >> 16);
        }
        return p;
    }
};

__device__ inline float factor(const PaddedTables&, const PaddedPoint& p) { return p.factor; }

__device__ inline int coordinate(const PaddedPoint& p, int i) {
    return 2 * static_cast<int>(p.u[i >> 2] >> 8 * (i & 3) & 255) - p.offset;
}
