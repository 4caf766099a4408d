"""The pieces that bodies are made of: each function adds to a graph and returns the name of what it added.

Written the way ONNX Runtime's processor kernels are fastest, which was measured: weights transposed beforehand, bias
and activation fused, but addition and layer normalization apart, since the fused kernel for these two is the slower.
"""
