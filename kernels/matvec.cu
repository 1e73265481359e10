// y = W x for packed W, decoding and multiplying in one pass: the weights never exist in memory.
//
//     y[row] = row_scale[row] * step * sum over blocks of  factor * sum_i v_i q_i
//
// x comes rotated and in 16-bit fixed point (rotate_to_fixed in hadamard.cu), so that the sum over a block is exact
// integer arithmetic: q = 256 h + l, and __dp4a multiplies and adds four bytes at once, 12 of them a block instead of
// 24 conversions and 24 multiplications. Its error is that of rounding x: at most step / 2 a coordinate,
//
//     |error of y| <= step / 2 * sum_j |w_j|,      step = max |R x| / 32512,
//
// and a few units in the last place of float32 for the sum over blocks, which is always added in the same order: the
// same input gives the same bits, run after run.
//
// A warp owns ROWS_A_WARP rows; lane l decodes blocks l, l + 32, ... of each, so codes are read in contiguous pieces and what a
// lane needs of x serves ROWS_A_WARP rows. Lanes add up at the end. A batch of up to 8 shares one
// decoding.
//
// Version 1 reads codes in the order of files (llvq.cuh), version 2 in that of a GPU (padded.cuh), 50 bits instead of 48
// and a fraction of the instructions. Both compute the same integers, so y is the same to the last bit. Tests:
// tests/test_kernels.py, tests/test_padded.py.
#include "padded.cuh"

constexpr int ROWS_A_WARP = 4;

// sum of the products of 24 bytes with q = 256 h + l, exact: their sizes add up to 360 at most, |q| <= 32512.
__device__ inline int byte_product(const u32* v, const u32* x) {
    int high = 0, low = 0;
#pragma unroll
    for (int j = 0; j < 6; ++j) {
        high = __dp4a(static_cast<int>(v[j]), static_cast<int>(x[j]), high);
        low = __dp4a(static_cast<int>(v[j]), static_cast<int>(x[6 + j]), low);
    }
    return 256 * high + low;
}

// sum_i v_i q_i of one block; `sum` is that of q alone.
__device__ inline int block_product(const Point& p, const u32* x, int) { return byte_product(p.v, x); }

__device__ inline int block_product(const PaddedPoint& p, const u32* x, int sum) {
    return 2 * byte_product(p.u, x) - (p.offset == 15 ? 15 * sum : 16 * sum);
}

// The 48 bytes of x that one block needs, in three loads.
__device__ inline void load_activations(const u32* from, u32* x) {
#pragma unroll
    for (int j = 0; j < 3; ++j) {
        const uint4 four = reinterpret_cast<const uint4*>(from)[j];
        x[4 * j] = four.x;
        x[4 * j + 1] = four.y;
        x[4 * j + 2] = four.z;
        x[4 * j + 3] = four.w;
    }
}

// Up to BATCH columns at once; `batch` of them are real. Order: Tables (version 1) or PaddedTables (version 2).
template <int BATCH, typename Order>
__device__ inline void matvec(const Order& t, const u32* codes, int rows, int width, const u16* row_scale,
                              const u32* planes, const float* step, int batch, float* y) {
    const int bits = t.bits(), blocks = (width + 23) / 24, lane = threadIdx.x & 31;
    const int warp = blockIdx.x * (blockDim.x >> 5) + (threadIdx.x >> 5), warps = gridDim.x * (blockDim.x >> 5);
    for (int first = ROWS_A_WARP * warp; first < rows; first += ROWS_A_WARP * warps) {
        float sum[ROWS_A_WARP][BATCH] = {};
        for (int column = lane; column < blocks; column += 32) {
            const u32 ones[6] = {0x01010101, 0x01010101, 0x01010101, 0x01010101, 0x01010101, 0x01010101};
            u32 x[BATCH][12] = {};
            int of_x[BATCH];
#pragma unroll
            for (int b = 0; b < BATCH; ++b) {
                if (b < batch) load_activations(planes + (static_cast<i64>(b) * blocks + column) * 12, x[b]);
                of_x[b] = byte_product(ones, x[b]);
            }
#pragma unroll(BATCH == 1 ? Order::AT_ONCE : 1)
            for (int r = 0; r < ROWS_A_WARP; ++r) {
                if (first + r >= rows) break;
                const auto p = t.decode(unpack_code(codes, static_cast<u32>((first + r) * blocks + column), bits));
                const float f = factor(t, p);
#pragma unroll
                for (int b = 0; b < BATCH; ++b) {
                    const float add = f * static_cast<float>(block_product(p, x[b], of_x[b]));
#pragma unroll
                    for (int k = 0; k < ROWS_A_WARP; ++k) sum[k][b] += k == r ? add : 0.0f;  // registers have no index
                }
            }
        }
#pragma unroll
        for (int r = 0; r < ROWS_A_WARP; ++r)
#pragma unroll
            for (int b = 0; b < BATCH; ++b) {
                float total = sum[r][b];
#pragma unroll
                for (int mask = 16; mask > 0; mask >>= 1) total += __shfl_xor_sync(0xffffffffu, total, mask);
                if (lane == 0 && first + r < rows && b < batch)
                    y[static_cast<i64>(b) * rows + first + r] = total * step[b] * half_value(row_scale[first + r]);
            }
    }
}

#define MATVEC(name, BATCH, Order)                                                                                  \
    extern "C" __global__ void name(const u32* codes, int rows, int width, const u8* blob, int shared_bytes,        \
                                    const u16* row_scale, const u32* planes, const float* step, int batch,          \
                                    float* y) {                                                                     \
        with_tables<Order>(blob, shared_bytes, [=](const Order& t) {                                                \
            matvec<BATCH>(t, codes, rows, width, row_scale, planes, step, batch, y);                                \
        });                                                                                                         \
    }
MATVEC(matvec_1, 1, Tables)
MATVEC(matvec_2, 2, Tables)
MATVEC(matvec_4, 4, Tables)
MATVEC(matvec_8, 8, Tables)
MATVEC(matvec_padded_1, 1, PaddedTables)
MATVEC(matvec_padded_2, 2, PaddedTables)
MATVEC(matvec_padded_4, 4, PaddedTables)
MATVEC(matvec_padded_8, 8, PaddedTables)
