# `make demo` and `make test` need Python 3.11 or newer (PYTHON=...) and nothing else.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test test-slow lint docs peers bench clean help

help:
	@echo "make demo       install the core into .venv and fit real data; results in demo/"
	@echo "make test       install what the tests need and run them"
	@echo "make test-slow  run the slow statistical tests too"
	@echo "make test-py312 the tests by Python 3.12, make test-py313 by 3.13, where they are installed"
	@echo "make lint       formatting, lint, types"
	@echo "make docs       build the documentation into docs/_build"
	@echo "make peers      install the peers to compare with, some in environments of their own in .peers"
	@echo "make bench      time the workloads beside those peers that are installed; results in bench.md"

$(VENV)/python:
	@command -v $(PYTHON) >/dev/null || { echo "bayesastro needs Python 3.11 or newer; '$(PYTHON)' was not found. Try 'make PYTHON=python3.12 ...'."; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "bayesastro needs Python 3.11 or newer, but '$(PYTHON)' is $$($(PYTHON) -V 2>&1). Try 'make PYTHON=python3.12 ...'."; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { echo "bayesastro needs Python's venv module; on Debian: apt-get install python3-venv."; exit 1; }
	@$(PYTHON) -m venv $(VENV) && touch $@

# Stamps, one for each set of packages: installing again costs nothing until the requirements change.
$(VENV)/core: $(VENV)/python pyproject.toml constraints.txt
	@echo "installing bayesastro into $(VENV)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable .
	@touch $@

$(VENV)/test: $(VENV)/core
	@echo "installing what the tests need"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[test]"
	@touch $@

demo: $(VENV)/core
	@$(BIN)/bayesastro demo --out demo

# Most of the time goes into compiling, which these shorten to less than half; the slow tests use the usual compiler.
QUICK_COMPILER := --xla_backend_optimization_level=0 --xla_cpu_use_fusion_emitters=false

test: $(VENV)/test
	@XLA_FLAGS="$(QUICK_COMPILER)" $(BIN)/python -m pytest -m "not slow" -n 2 --dist loadfile

test-slow: $(VENV)/test
	@$(BIN)/python -m pytest -n 2 --dist loadfile

# `make test-py312`, `make test-py313`: the same by another interpreter, in an environment of its own.
test-py3%:
	@$(MAKE) --no-print-directory test PYTHON=python3.$* VENV=.venv-py3$*

lint: $(VENV)/test
	@$(BIN)/ruff format --check . && $(BIN)/ruff check . && $(BIN)/pyright --pythonpath $(BIN)/python

docs: $(VENV)/test
	@$(BIN)/python -m sphinx -W --keep-going -q -b html docs docs/_build && echo "see docs/_build/index.html"

$(VENV)/peers: $(VENV)/test
	@echo "installing the peers to compare with"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[test,peers]"
	@touch $@

# Peers whose pins conflict with ours: an environment for each file of requirements.
PEERS := $(patsubst benchmarks/peers/%.txt,.peers/%/installed,$(wildcard benchmarks/peers/*.txt))

.peers/%/installed: benchmarks/peers/%.txt
	@echo "installing $* into .peers/$*"
	@$(PYTHON) -m venv --clear .peers/$*
	@.peers/$*/bin/python -m pip install --quiet --disable-pip-version-check --requirement $<
	@touch $@

peers: $(VENV)/peers $(PEERS)

bench: $(VENV)/test
	@$(BIN)/python -m benchmarks

clean:
	rm -rf $(VENV) .venv-py3* .peers demo docs/_build docs/jupyter_execute docs/gallery docs/reference .pytest_cache .ruff_cache
