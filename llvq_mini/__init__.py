"""llvq_mini: Leech lattice vector quantization, small enough to read.

The library maps 24 numbers at a time to a point of the Leech lattice, the point to an integer, and the integer to
bits, all by rules instead of a stored codebook.  Read the modules in this order:

    golay -> leech -> shells            mathematics, plain NumPy
    search -> index -> codebook -> pack  the codec, Numba
    rotate -> hessian -> feedback -> layer -> store -> pipeline   language models
    packed -> ops -> linear -> hf        packed weights in PyTorch and transformers

`llvq_mini.load(folder)` gives a quantized model.  Importing the package loads nothing heavier than NumPy; import the
submodule you need.
"""

__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    """`llvq_mini.load`, imported when it is first asked for: it needs torch and transformers."""
    if name == "load":
        from .hf import load

        return load
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
