# Two commands do everything: `make demo` and `make test`. Both set up what they need and can be repeated.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PYTHONUNBUFFERED := 1

.PHONY: all setup setup-all tools demo test test-all long lint bench clean
all: test

tools:
	@for tool in g++ make perl; do command -v $$tool >/dev/null || { \
	  echo "spikeloom: $$tool is missing; install it with: apt install g++ make perl" >&2; exit 1; }; done
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "spikeloom: $(PYTHON) must be Python 3.11 or later; set PYTHON=..." >&2; exit 1; }

setup: tools $(VENV)/.complete
setup-all: setup $(VENV)/.all

$(VENV)/.complete: pyproject.toml constraints.txt
	@echo "setting up $(VENV)"
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --constraint constraints.txt --progress-bar off "setuptools>=70"
	$(BIN)/python -m pip install --constraint constraints.txt --progress-bar off --no-build-isolation \
	  --editable ".[test]"
	touch $@

$(VENV)/.all: $(VENV)/.complete
	@echo "setting up all extras in $(VENV)"
	$(BIN)/python -m pip install --constraint constraints.txt --progress-bar off --no-build-isolation \
	  --editable ".[boards,events,test]"
	touch $@

demo: setup
	$(BIN)/spikeloom demo --output build/demo

test: setup
	$(BIN)/python -m pytest -n 2 -m "not long and not extras" --durations=10

test-all: setup-all
	$(BIN)/python -m pytest -n 2 -m "not long and extras" --durations=5

long: setup-all
	$(BIN)/python -m pytest -m long --durations=10

lint: setup
	$(BIN)/ruff check .

bench: setup
	$(BIN)/python -m bench.run

clean:
	rm -rf build $(VENV) *.egg-info src/*.egg-info .pytest_cache .hypothesis .ruff_cache
