"""The command line: ``onnxembed`` and ``python -m onnxembed``; one file per command."""
