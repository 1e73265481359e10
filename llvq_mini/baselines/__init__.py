"""What a reader compares the Leech codes with: well-known quantizers behind the same Codebook protocol.

    scalar    one weight at a time: uniform and Lloyd-Max levels
"""
