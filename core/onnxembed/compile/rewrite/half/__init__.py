"""Products in 16-bit floats, for processors that have units for them; all that is sensitive stays in single precision.

Sums of a residual path, normalizations, softmax, masks, reductions and pooling keep 32 bits. What runs in 16 is what
costs the time: products, convolutions, fused attention, and what only moves their results.
"""
