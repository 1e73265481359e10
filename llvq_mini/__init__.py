"""llvq_mini: Leech lattice vector quantization, small enough to read.

The library maps 24 numbers at a time to a point of the Leech lattice, the point to an integer, and the integer to
bits, all by rules instead of a stored codebook.  Read the modules in this order:

    golay -> leech -> shells            mathematics, plain NumPy
    search -> index -> codebook -> pack  the codec, Numba
    rotate -> hessian -> feedback -> layer -> store -> pipeline   language models

Importing the package loads nothing heavier than NumPy; import the submodule you need.
"""

__version__ = "0.1.0"
