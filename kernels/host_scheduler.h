// The scheduler of host_shim.h, for a driver that includes this file and then its kernels.
//
// HOST_KERNEL(NAME) makes one C function of a kernel: host_NAME(grid, block, shared bytes, order, arguments).
// `arguments` points at pointers to the arguments, as cuLaunchKernel wants them. `order` is 0 for ascending threads, 1
// for descending, anything else seeds a shuffle. Returns 0; 1 if some threads wait at a barrier that others never
// reach; 2 if a kernel wrote behind its shared memory.
#pragma once

#include "host_shim.h"

#include <algorithm>
#include <csetjmp>
#include <functional>
#include <memory>
#include <numeric>
#include <random>
#include <ucontext.h>
#include <utility>
#include <vector>

Coordinates threadIdx, blockIdx, blockDim, gridDim;
constexpr std::size_t SHARED = 256 << 10, GUARD = 256, STACK = 128 << 10;
alignas(16) unsigned char llvq_shared[SHARED + GUARD];

namespace shim {
enum State { READY, AT_BLOCK_BARRIER, AT_WARP_BARRIER, DONE };

struct Fiber {
    std::unique_ptr<char[]> stack;
    jmp_buf place;
    State state = READY;
    bool started = false;
    unsigned exchanges = 0;
};

struct Warp {
    std::uint64_t values[2][32];
};

std::vector<Fiber> fibers;
std::vector<Warp> warps;
std::function<void()> kernel;
jmp_buf scheduler;
ucontext_t creation, origin;

void wait(State state) {
    Fiber& self = fibers[threadIdx.x];
    self.state = state;
    if (_setjmp(self.place) == 0) _longjmp(scheduler, 1);
}

void wait_for_block() { wait(AT_BLOCK_BARRIER); }
void wait_for_warp() { wait(AT_WARP_BARRIER); }

// Two buffers: a lane that is already at its next exchange cannot disturb one that still reads this one.
const std::uint64_t* exchange(std::uint64_t value) {
    const unsigned self = threadIdx.x, buffer = fibers[self].exchanges++ & 1;
    warps[self / 32].values[buffer][self % 32] = value;
    wait_for_warp();
    return warps[threadIdx.x / 32].values[buffer];
}

void body() {
    kernel();
    fibers[threadIdx.x].state = DONE;
    _longjmp(scheduler, 1);
}

void resume(unsigned thread) {
    Fiber& fiber = fibers[thread];
    threadIdx.x = thread;
    if (_setjmp(scheduler) != 0) return;
    if (fiber.started) _longjmp(fiber.place, 1);
    fiber.started = true;
    getcontext(&creation);
    creation.uc_stack.ss_sp = fiber.stack.get();
    creation.uc_stack.ss_size = STACK;
    creation.uc_link = nullptr;
    makecontext(&creation, body, 0);
    setcontext(&creation);
}

// Lets those go on whose barrier is complete; false if nobody may.
bool release() {
    bool all_at_block = true, any = false;
    for (const Fiber& fiber : fibers) all_at_block &= fiber.state == AT_BLOCK_BARRIER;
    for (std::size_t first = 0; first < fibers.size(); first += 32) {
        const std::size_t end = std::min(first + 32, fibers.size());
        bool complete = true;
        for (std::size_t i = first; i < end; ++i) complete &= fibers[i].state == AT_WARP_BARRIER;
        for (std::size_t i = first; i < end; ++i)
            if (complete || (all_at_block && fibers[i].state == AT_BLOCK_BARRIER)) fibers[i].state = READY, any = true;
    }
    return any;
}

int run_block(const std::vector<unsigned>& order, std::size_t shared) {
    std::memset(llvq_shared, 0xa5, sizeof llvq_shared);
    for (Fiber& fiber : fibers) fiber.started = false, fiber.state = READY, fiber.exchanges = 0;
    for (;;) {
        for (unsigned thread : order)
            if (fibers[thread].state == READY) resume(thread);
        bool done = true;
        for (const Fiber& fiber : fibers) done &= fiber.state == DONE;
        if (done) break;
        if (!release()) return 1;
    }
    for (std::size_t i = shared; i < shared + GUARD; ++i)
        if (llvq_shared[i] != 0xa5) return 2;
    return 0;
}

int run(unsigned grid, unsigned block, std::size_t shared, unsigned seed, std::function<void()> call) {
    kernel = std::move(call);
    fibers.clear();
    fibers.resize(block);
    warps.assign((block + 31) / 32, Warp{});
    for (Fiber& fiber : fibers) fiber.stack.reset(new char[STACK]);
    std::vector<unsigned> order(block);
    std::iota(order.begin(), order.end(), 0u);
    if (seed == 1) std::reverse(order.begin(), order.end());
    if (seed > 1) std::shuffle(order.begin(), order.end(), std::mt19937(seed));
    gridDim.x = grid;
    blockDim.x = block;
    for (unsigned b = 0; b < grid; ++b) {
        blockIdx.x = b;
        if (const int error = run_block(order, shared)) return error;
    }
    return 0;
}

template <typename... A, std::size_t... I>
int launch(void (*function)(A...), void** arguments, int grid, int block, int shared, int order,
           std::index_sequence<I...>) {
    return run(grid, block, shared, order,
               [=] { function(*static_cast<std::remove_const_t<A>*>(arguments[I])...); });
}

template <typename... A>
int launch(void (*function)(A...), void** arguments, int grid, int block, int shared, int order) {
    return launch(function, arguments, grid, block, shared, order, std::index_sequence_for<A...>{});
}
}  // namespace shim

#define HOST_KERNEL(name)                                                                         \
    extern "C" int host_##name(int grid, int block, int shared, int order, void** arguments) {    \
        return shim::launch(name, arguments, grid, block, shared, order);                         \
    }
