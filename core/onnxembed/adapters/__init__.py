"""What an adapter for any framework needs and no framework owns. Only adapters import it.

An adapter's class inherits a kind's model from here and the framework's class, and adds the framework's methods:

- `fields`: every option of the core as a pydantic field, declared once; `option_types`: the types of these fields
- `engine`: from fields to the core object, opened again when a field changes
- `dense`, `muvera`, `sparse`, `rerank`, `late_interaction`, `images`: one model per kind
- `messages`: unknown arguments, and the core's messages in the adapter's words; `refusals`: errors of constructors
- `checks`: arguments of methods; `extras`: classes that need an optional package
- `described`: settings as a dictionary that names its vectors; `memory`: sparse vectors held and searched in memory
- `fusion`, `qdrant_fusion`: one ranking of what dense and sparse vectors find, here and by Qdrant
- `qdrant`, `qdrant_points`, `two_stages`: a Qdrant collection of token vectors, and a first stage before it
- `windows`: long lists in parts; `progress`: bars of a framework
- `inside`, `fastembed_folder`: what the stand-in for fastembed needs; these two need no pydantic

The others need pydantic; those that concern Qdrant need qdrant-client. The adapters' distributions declare both.
"""
