"""Products in 8-bit integers, each row of activations with a scale of its own.

ONNX Runtime's own dynamic quantisation scales all activations of a batch by one number, so that a text's vector moves
with its neighbours. Here every row (a token) has its scale, computed when the graph runs, and every column of the
weights its own: a text keeps to itself by construction.
"""
