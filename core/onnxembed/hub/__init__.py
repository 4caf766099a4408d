"""A model's files: found, fetched, checked and kept.

`onnxembed.hub.locate.locate` is the way in; the rest is how it does it.
"""
