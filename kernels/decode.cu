// Packed codes -> lattice points, or weights in fp32, fp16 and bf16.
//
//     w[row][24 b + i] = v_i * factor(gain, shell) * row_scale[row],      the two products rounded in this order
//
// which is what QuantizedLinear.dequantize computes before it rotates back (hadamard.cu does that). One thread decodes
// one block and writes its 24 numbers; blocks run along rows, the last one of a row may stick out of the matrix (its
// columns are padding and dropped). Used before a large matrix product, where decoding is paid once for many columns,
// and for checks; a single vector wants matvec.cu, which never writes the weights at all.
//
// Floor: a block reads 6 bytes and writes 48 (fp16), so writing sets the pace. Tests: tests/test_kernels.py.
#include "padded.cuh"

__device__ inline void store(float* out, float w) { *out = w; }

struct Half {
    u16 bits;
};
struct Bfloat {
    u16 bits;
};
__device__ inline void store(Half* out, float w) { out->bits = half_bits(w); }
__device__ inline void store(Bfloat* out, float w) { out->bits = bfloat_bits(w); }

// Order: Tables for codes in the order of files, PaddedTables for that of a GPU.
template <typename Order, typename T>
__device__ inline void decode_weights(const u32* codes, i64 rows, int width, const u8* blob, int shared_bytes,
                                      const u16* row_scale, T* out) {
    with_tables<Order>(blob, shared_bytes, [=](const Order& t) {
        const int bits = t.bits(), blocks = (width + 23) / 24;
        const i64 step = static_cast<i64>(gridDim.x) * blockDim.x;
        for (i64 n = static_cast<i64>(blockIdx.x) * blockDim.x + threadIdx.x; n < rows * blocks; n += step) {
            const i64 row = n / blocks;
            const int column = 24 * static_cast<int>(n - row * blocks);
            const auto p = t.decode(unpack_code(codes, static_cast<u32>(n), bits));
            const float f = factor(t, p), scale = half_value(row_scale[row]);
            T* to = out + row * width + column;
#pragma unroll
            for (int i = 0; i < 24; ++i)
                if (column + i < width)
                    store(to + i, __fmul_rn(__fmul_rn(static_cast<float>(coordinate(p, i)), f), scale));
        }
    });
}

#define DECODE(name, Order, T)                                                                                  \
    extern "C" __global__ void name(const u32* codes, i64 rows, int width, const u8* blob, int shared_bytes,    \
                                    const u16* row_scale, T* out) {                                             \
        decode_weights<Order>(codes, rows, width, blob, shared_bytes, row_scale, out);                          \
    }
DECODE(decode_fp32, Tables, float)
DECODE(decode_fp16, Tables, Half)
DECODE(decode_bf16, Tables, Bfloat)
DECODE(decode_padded_fp32, PaddedTables, float)
DECODE(decode_padded_fp16, PaddedTables, Half)
DECODE(decode_padded_bf16, PaddedTables, Bfloat)

// points: int8 (n, 24) as six words a block; levels: the number of the gain.
extern "C" __global__ void decode_points(const u32* codes, i64 n, const u8* blob, int shared_bytes, u32* points,
                                         u8* levels) {
    with_tables<Tables>(blob, shared_bytes, [=](const Tables& t) {
        const i64 step = static_cast<i64>(gridDim.x) * blockDim.x;
        for (i64 k = static_cast<i64>(blockIdx.x) * blockDim.x + threadIdx.x; k < n; k += step) {
            const Point p = t.decode(unpack_code(codes, static_cast<u32>(k), t.bits()));
            for (int j = 0; j < 6; ++j) points[6 * k + j] = p.v[j];
            levels[k] = p.level;
        }
    });
}
