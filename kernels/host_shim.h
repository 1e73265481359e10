// Runs the CUDA sources of this folder on a CPU: the words of the language that g++ does not know, and a block of
// threads on one core. For tests and for reading along without a GPU; speed is no concern.
//
// A thread of a block is a fiber with a stack of its own. The scheduler resumes the fibers one after another, in
// ascending, descending or shuffled order; a fiber runs until it meets a barrier (or ends) and goes on when everyone
// who must arrive has arrived. So between two barriers the threads run one after another, completely: a missing
// barrier shows as a wrong result in at least one order, and a barrier that not all threads reach as an error.
// Shared memory is filled with garbage before every block, and guarded behind its end.
//
// Not imitated: threads truly at once (races on one address between two barriers), memory order, textures, tensor
// cores. Grids are one-dimensional. Definitions live in host_scheduler.h. Tests: tests/test_kernels.py.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

#define __global__
#define __device__
#define __shared__
#define __align__(n) __attribute__((aligned(n)))
#define __restrict__ __restrict

struct uint2 {
    unsigned x, y;
};
struct uint4 {
    unsigned x, y, z, w;
};
struct Coordinates {
    unsigned x;
};
extern Coordinates threadIdx, blockIdx, blockDim, gridDim;

namespace shim {
void wait_for_block();
void wait_for_warp();
// Hands `value` to the warp, waits for the other lanes, and returns the values of all 32.
const std::uint64_t* exchange(std::uint64_t value);

template <typename To, typename From>
inline To bits_of(From from) {
    static_assert(sizeof(To) >= sizeof(From), "bits would be lost");
    To to{};
    std::memcpy(&to, &from, sizeof(From));
    return to;
}

template <typename T>
inline T shuffle(T value, int lane) {
    const std::uint64_t got = exchange(bits_of<std::uint64_t>(value))[lane & 31];
    T result;
    std::memcpy(&result, &got, sizeof(T));
    return result;
}

inline float half_value(unsigned short bits) {
    const int exponent = bits >> 10 & 31, mantissa = bits & 1023;
    float x = exponent == 0    ? std::ldexp(static_cast<float>(mantissa), -24)
              : exponent == 31 ? (mantissa ? NAN : INFINITY)
                               : std::ldexp(static_cast<float>(1024 + mantissa), exponent - 25);
    return bits >> 15 ? -x : x;
}

inline unsigned short half_bits(float x) {
    const unsigned sign = std::signbit(x) ? 0x8000u : 0u;
    const float size = std::fabs(x);
    if (std::isnan(x)) return 0x7fff;
    if (size >= 65520.0f) return sign | 0x7c00u;
    const int exponent = size < 6.103515625e-05f ? -14 : std::ilogb(size);
    const int steps = static_cast<int>(std::nearbyint(std::ldexp(size, 10 - exponent)));  // ties to even
    return sign | (steps + ((exponent + 14) << 10));  // a carry of the mantissa moves on into the exponent
}
}  // namespace shim

inline void __syncthreads() { shim::wait_for_block(); }
inline void __syncwarp() { shim::wait_for_warp(); }
template <typename T>
inline T __shfl_sync(unsigned, T value, int lane) {
    return shim::shuffle(value, lane);
}
template <typename T>
inline T __shfl_xor_sync(unsigned, T value, int mask) {
    return shim::shuffle(value, static_cast<int>(threadIdx.x & 31) ^ mask);
}
inline unsigned __ballot_sync(unsigned, int predicate) {
    const std::uint64_t* votes = shim::exchange(predicate != 0);
    unsigned result = 0;
    for (int lane = 0; lane < 32; ++lane) result |= static_cast<unsigned>(votes[lane]) << lane;
    return result;
}

inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __ffs(unsigned x) { return __builtin_ffs(static_cast<int>(x)); }
inline unsigned __float_as_uint(float x) { return shim::bits_of<unsigned>(x); }
inline float __fmul_rn(float a, float b) { return a * b; }
inline double __dmul_rn(double a, double b) { return a * b; }
inline double __dadd_rn(double a, double b) { return a + b; }
inline double __ddiv_rn(double a, double b) { return a / b; }
inline double __dsqrt_rn(double a) { return std::sqrt(a); }
inline int __float2int_rn(float x) { return static_cast<int>(std::nearbyint(x)); }
inline unsigned __umulhi(unsigned a, unsigned b) { return static_cast<std::uint64_t>(a) * b >> 32; }
inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b) {
    return static_cast<unsigned long long>(static_cast<unsigned __int128>(a) * b >> 64);
}

// Bytes of b:a picked by the nibbles of the selector; bit 3 of a nibble spreads the sign of the byte instead.
inline unsigned __byte_perm(unsigned a, unsigned b, unsigned selector) {
    const std::uint64_t bytes = static_cast<std::uint64_t>(b) << 32 | a;
    unsigned result = 0;
    for (int i = 0; i < 4; ++i) {
        const unsigned pick = selector >> 4 * i & 15;
        unsigned byte = bytes >> 8 * (pick & 7) & 255;
        if (pick & 8) byte = byte & 128 ? 255 : 0;
        result |= byte << 8 * i;
    }
    return result;
}

// The lower word of high:low, shifted right by the five low bits of `shift`; the upper word, shifted left.
inline unsigned __funnelshift_l(unsigned low, unsigned high, unsigned shift) {
    return (static_cast<std::uint64_t>(high) << 32 | low) << (shift & 31) >> 32;
}
inline unsigned __funnelshift_r(unsigned low, unsigned high, unsigned shift) {
    return (static_cast<std::uint64_t>(high) << 32 | low) >> (shift & 31);
}

inline int __dp4a(int a, int b, int sum) {
    for (int i = 0; i < 4; ++i) sum += static_cast<signed char>(a >> 8 * i) * static_cast<signed char>(b >> 8 * i);
    return sum;
}

inline float fminf(float a, float b) { return std::fmin(a, b); }
