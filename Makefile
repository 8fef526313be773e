# The verbs of this project; CI calls the same. All they need is made below this directory:
# .venv (tools and the package, editable) and .build (caches, the demo).

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.made
PORT ?= 8080
SUITE ?=
SECONDS ?= 60
VERBS ?= unit integration

.PHONY: run test test-on unit integration fuzz bench tested lint format types clean

run: $(READY)
	@exec $(BIN)/mod-wsgi-van demo .build/demo --port $(PORT)

test: lint types unit integration

# As root, in another Debian: make test-on SUITE=forky, or VERBS=unit for less; VERBS=readme does
# what README.md says in a bare one.
test-on:
	@.ci/test-on "$(SUITE)" $(VERBS)

unit: $(READY)
	$(BIN)/python -m pytest

integration: $(READY)
	$(BIN)/python -m pytest integration

# Hostile workers against the router, made by chance; for an hour: make fuzz SECONDS=3600.
fuzz: $(READY)
	VAN_FUZZ_SECONDS=$(SECONDS) $(BIN)/python -m pytest -s tests/isolation/process/test_fuzz.py

bench: $(READY)
	$(BIN)/python -m integration.benchmarks

# Which libraries may share the daemon's process; takes an hour or two and needs PyPI.
tested: $(READY)
	$(BIN)/python -m integration.reloads --write
	$(BIN)/python -m mod_wsgi_van.manual

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/python -m mod_wsgi_van.manual

types: $(READY)
	$(BIN)/mypy

clean:
	rm -rf $(VENV) .build .mypy_cache .pytest_cache .ruff_cache

# The first of these that is a Python of 3.11 or later and can make environments: Debian's python3
# cannot without python3-venv, and pyenv has a command for every version, whether it runs or not.
$(READY): pyproject.toml
	@for python in python3 python3.14 python3.13 python3.12 python3.11 /usr/bin/python3; do \
	    if $$python -c 'import sys, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; \
	    then break; fi; python=; \
	done; \
	test -n "$$python" || { \
	    echo "make: Python 3.11 or later with venv is needed (apt install python3-venv)" >&2; \
	    exit 1; }; \
	echo "Making $(VENV) with $$python ($$($$python --version)) ..."; \
	$$python -m venv --clear $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[serve,test]'
	@touch $@
