"""NVRTC, CUDA's run-time compiler, through ctypes: sources to machine code for any card, without a GPU.

The compiler comes with the pinned package nvidia-cuda-nvrtc-cu12 (requirements.txt).
"""

from __future__ import annotations

import ctypes
import importlib.util
from functools import cache
from pathlib import Path


@cache
def _library() -> ctypes.CDLL:
    spec = importlib.util.find_spec("nvidia.cuda_nvrtc")
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError(
            "The compiler tests need NVRTC; install it with: pip install -r requirements.txt"
        )
    folder = Path(next(iter(spec.submodule_search_locations))) / "lib"
    ctypes.CDLL(str(next(folder.glob("libnvrtc-builtins.so.*"))), mode=ctypes.RTLD_GLOBAL)
    return ctypes.CDLL(str(next(folder.glob("libnvrtc.so.*"))))


def compile_source(path: Path, capability: int, *options: str) -> tuple[bytes, str]:
    """Machine code (a cubin) for compute capability 75, 80 ... and the compiler's log; RuntimeError if it fails."""
    lib, program, size = _library(), ctypes.c_void_p(), ctypes.c_size_t()
    flags = [f"--gpu-architecture=sm_{capability}", "--std=c++17", f"-I{path.parent}", *options]
    argv = (ctypes.c_char_p * len(flags))(*(flag.encode() for flag in flags))
    name = path.name.encode()
    if lib.nvrtcCreateProgram(ctypes.byref(program), path.read_bytes(), name, 0, None, None):
        raise RuntimeError(f"NVRTC made no program of {path}.")
    failed = lib.nvrtcCompileProgram(program, len(flags), argv)
    lib.nvrtcGetProgramLogSize(program, ctypes.byref(size))
    log = ctypes.create_string_buffer(size.value)
    lib.nvrtcGetProgramLog(program, log)
    text = log.value.decode()
    if failed:
        raise RuntimeError(f"NVRTC does not compile {path.name} for sm_{capability}:\n{text}")
    lib.nvrtcGetCUBINSize(program, ctypes.byref(size))
    cubin = ctypes.create_string_buffer(size.value)
    lib.nvrtcGetCUBIN(program, cubin)
    lib.nvrtcDestroyProgram(ctypes.byref(program))
    return cubin.raw, text.strip()
