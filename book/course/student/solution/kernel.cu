// Week 4, problem 4.4: two kernels. They run on the CPU (shim/), thread by thread, and are real CUDA all the same.
//
// A code has 16 bits: the low twelve are the message of a Golay word, the high four the number of a gain. Weight j of
// its block of 24 is +gain where bit j of the word is 0 and -gain where it is 1.

extern __shared__ __align__(16) unsigned char llvq_shared[];

// Weights of all blocks: out[24 b + j].  Any grid, any number of threads.
extern "C" __global__ void decode_signs(const unsigned short* codes, const unsigned* words, const float* gains,
                                        float* out, int blocks) {
    // your code
}

// y = W x without W in memory: block `row` of the grid computes y[row]; its threads share the blocks of the row.
// The number of threads is a power of two; there is shared memory for one float a thread.
extern "C" __global__ void matvec_signs(const unsigned short* codes, const unsigned* words, const float* gains,
                                        const float* x, float* y, int blocks) {
    float* partial = reinterpret_cast<float*>(llvq_shared);
    // your code
}
