// The kernels of this folder as a library for the CPU; host_scheduler.h says how they are called.
#include "host_scheduler.h"

#include "decode.cu"
#include "hadamard.cu"
#include "matvec.cu"
#include "search.cu"

HOST_KERNEL(decode_points)
HOST_KERNEL(decode_fp32)
HOST_KERNEL(decode_fp16)
HOST_KERNEL(decode_bf16)
HOST_KERNEL(rotate_rows)
HOST_KERNEL(rotate_to_fixed)
HOST_KERNEL(matvec_1)
HOST_KERNEL(matvec_2)
HOST_KERNEL(matvec_4)
HOST_KERNEL(matvec_8)
HOST_KERNEL(nearest_direction_fp32)
HOST_KERNEL(nearest_direction_fp64)
HOST_KERNEL(decode_padded_fp32)
HOST_KERNEL(decode_padded_fp16)
HOST_KERNEL(decode_padded_bf16)
HOST_KERNEL(matvec_padded_1)
HOST_KERNEL(matvec_padded_2)
HOST_KERNEL(matvec_padded_4)
HOST_KERNEL(matvec_padded_8)
