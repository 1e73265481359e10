// Problem 4.4, answer key.
//
// A code has 16 bits: the low twelve are the message of a Golay word, the high four the number of a gain. Weight j of
// its block of 24 is +gain where bit j of the word is 0 and -gain where it is 1.

extern __shared__ __align__(16) unsigned char llvq_shared[];

// Weights of all blocks: out[24 b + j].  Any grid, any number of threads.
extern "C" __global__ void decode_signs(const unsigned short* codes, const unsigned* words, const float* gains,
                                        float* out, int blocks) {
    const int stride = gridDim.x * blockDim.x;
    for (int b = blockIdx.x * blockDim.x + threadIdx.x; b < blocks; b += stride) {
        const unsigned word = words[codes[b] & 4095];
        const float gain = gains[codes[b] >> 12];
        for (int j = 0; j < 24; ++j) out[24 * b + j] = word >> j & 1 ? -gain : gain;
    }
}

// y = W x without W in memory: block `row` of the grid computes y[row]; its threads share the blocks of the row.
// The number of threads is a power of two; there is shared memory for one float a thread.
extern "C" __global__ void matvec_signs(const unsigned short* codes, const unsigned* words, const float* gains,
                                        const float* x, float* y, int blocks) {
    float* partial = reinterpret_cast<float*>(llvq_shared);
    const unsigned short* row = codes + static_cast<long>(blockIdx.x) * blocks;
    float sum = 0.0f;
    for (int b = threadIdx.x; b < blocks; b += blockDim.x) {
        const unsigned word = words[row[b] & 4095];
        float signed_sum = 0.0f;
        for (int j = 0; j < 24; ++j) signed_sum += word >> j & 1 ? -x[24 * b + j] : x[24 * b + j];
        sum += gains[row[b] >> 12] * signed_sum;
    }
    partial[threadIdx.x] = sum;
    __syncthreads();
    for (unsigned half = blockDim.x / 2; half > 0; half /= 2) {
        if (threadIdx.x < half) partial[threadIdx.x] += partial[threadIdx.x + half];
        __syncthreads();
    }
    if (threadIdx.x == 0) y[blockIdx.x] = partial[0];
}
