"""File formats that are read and written here: safetensors, ONNX, the protobuf wire format, JSON."""
