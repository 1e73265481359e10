// The rotation of rotate.py on rows of numbers, and rotated activations in the form that matvec.cu eats.
//
//     R = Q diag(s),    Q = H_{2^k} (x) C_m,    width n = 2^k m,  m odd;    R^-1 = diag(s) Q
//
// One block of threads holds one row in shared memory: n floats, plus n more if m > 1, where the dense factor C_m is
// not done in place. Butterflies of distance h = m, 2 m, ..., n / 2 follow, n / 2 independent pairs each, a barrier
// between them. The order of the additions is that of the CPU, so for m = 1 the results agree to the last bit.
//
// Signs are computed, not read: bit 63 of SplitMix64. The first row of C_m comes from the library (rotate.py).
// Limit: the row must fit shared memory. Tests: tests/test_kernels.py.
#include "llvq.cuh"

__device__ inline float random_sign(u64 seed, int i) {
    u64 z = seed + static_cast<u64>(i + 1) * 0x9E3779B97F4A7C15ull;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9ull;
    z = (z ^ z >> 27) * 0x94D049BB133111EBull;
    return (z ^ z >> 31) >> 63 ? -1.0f : 1.0f;
}

// Q on a row in shared memory, in place; `spare` is as long as the row and used for odd > 1 only.
__device__ inline void transform_row(float* row, float* spare, int width, int odd, const float* hartley) {
    __syncthreads();  // the row is complete
    if (odd > 1) {
        for (int i = threadIdx.x; i < width; i += blockDim.x) {
            const int chunk = i / odd, j = i - chunk * odd;
            float sum = 0.0f;
            for (int k = 0, at = 0; k < odd; ++k) {  // at = j k mod odd
                sum += row[chunk * odd + k] * hartley[at];
                at += j;
                if (at >= odd) at -= odd;
            }
            spare[i] = sum;
        }
        __syncthreads();
        for (int i = threadIdx.x; i < width; i += blockDim.x) row[i] = spare[i];
        __syncthreads();
    }
    for (int half = odd; half < width; half *= 2) {
        for (int pair = threadIdx.x; pair < width / 2; pair += blockDim.x) {
            const int group = pair / half, low = pair + group * half;  // = 2 half group + (pair mod half)
            const float first = row[low], second = row[low + half];
            row[low] = first + second;
            row[low + half] = first - second;
        }
        __syncthreads();
    }
}

// out[r] = R x[r] (inverse = 0) or R^-1 x[r] (inverse = 1); one block of threads a row, in place if out == x.
extern "C" __global__ void rotate_rows(const float* x, float* out, int width, int odd, u64 seed, const float* hartley,
                                       float scale, int inverse) {
    float* row = reinterpret_cast<float*>(llvq_shared);
    const i64 start = static_cast<i64>(blockIdx.x) * width;
    for (int i = threadIdx.x; i < width; i += blockDim.x)
        row[i] = inverse ? x[start + i] : __fmul_rn(x[start + i], random_sign(seed, i));
    transform_row(row, row + width, width, odd, hartley);
    for (int i = threadIdx.x; i < width; i += blockDim.x) {
        const float y = __fmul_rn(row[i], scale);
        out[start + i] = inverse ? __fmul_rn(y, random_sign(seed, i)) : y;
    }
}

// The largest of one number a thread, for all threads; `slots` holds a float a warp, for this one call.
__device__ inline float block_maximum(float value, float* slots) {
    for (int mask = 16; mask > 0; mask >>= 1) value = fmaxf(value, __shfl_xor_sync(0xffffffffu, value, mask));
    if (threadIdx.x % 32 == 0) slots[threadIdx.x / 32] = value;
    __syncthreads();
    for (int warp = 0; warp < static_cast<int>(blockDim.x / 32); ++warp) value = fmaxf(value, slots[warp]);
    return value;
}

// Activations x (batch, width) -> R x in 16-bit fixed point, for matvec.cu; one block of threads a row of the batch.
//
// q = round(y / step) with step = max |y| / 32512, split as q = 256 h + l, both signed bytes. planes holds 12 words for
// every block of 24 columns: the six words of h (four columns each), then those of l; columns behind the end are zero.
extern "C" __global__ void rotate_to_fixed(const float* x, u32* planes, float* step, int width, int odd, u64 seed,
                                           const float* hartley, float scale) {
    float* row = reinterpret_cast<float*>(llvq_shared);
    const i64 start = static_cast<i64>(blockIdx.x) * width;
    for (int i = threadIdx.x; i < width; i += blockDim.x) row[i] = __fmul_rn(x[start + i], random_sign(seed, i));
    transform_row(row, row + width, width, odd, hartley);

    float largest = 0.0f;
    for (int i = threadIdx.x; i < width; i += blockDim.x) {
        row[i] = __fmul_rn(row[i], scale);
        largest = fmaxf(largest, fabsf(row[i]));
    }
    largest = block_maximum(largest, row + (odd > 1 ? 2 : 1) * width);
    const float inverse = largest > 0.0f ? 32512.0f / largest : 0.0f;
    if (threadIdx.x == 0) step[blockIdx.x] = largest / 32512.0f;

    const int blocks = (width + 23) / 24;
    u32* out = planes + static_cast<i64>(blockIdx.x) * blocks * 12;
    for (int word = threadIdx.x; word < 6 * blocks; word += blockDim.x) {
        u32 high = 0, low = 0;
        for (int j = 0; j < 4; ++j) {
            const int i = 4 * word + j;
            const int q = i < width ? __float2int_rn(row[i] * inverse) : 0, h = (q + 128) >> 8;
            high |= static_cast<u32>(h & 255) << 8 * j;
            low |= static_cast<u32>(q & 255) << 8 * j;  // q - 256 h modulo 256
        }
        out[word / 6 * 12 + word % 6] = high;
        out[word / 6 * 12 + 6 + word % 6] = low;
    }
}
