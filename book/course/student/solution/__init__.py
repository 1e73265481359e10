"""Your code: one file a week, and kernel.cu."""
