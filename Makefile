# `make demo` and `make test` set up all that they need. PYTHON=python3.12 picks another interpreter.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
PINS   := constraints.txt
# What is installed is named by the files that say so: a change of either installs again.
BASE   := $(VENV)/.base
TESTS  := $(VENV)/.tests
PIP    := PYTHONWARNINGS=ignore $(BIN)/python -m pip --quiet --disable-pip-version-check
# one pytest worker a core, but for what a single test at a time leaves idle anyway
WORKERS ?= auto

.PHONY: demo test lint lock bench clean
demo: $(BASE)    ## run the whole job as a rehearsal into ./demo/, free and offline
	$(BIN)/synthpert demo --out demo
	@echo; echo 'Before you type any of these: . $(BIN)/activate'

test: $(TESTS)   ## run every test
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal

lint: $(TESTS)   ## what a reviewer would rather not have to say
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(TESTS)  ## print the figures that the docs name
	$(BIN)/python -m benchmarks

lock: $(TESTS)   ## write down what is installed and was just tested
	$(BIN)/python -m pip freeze --exclude-editable | grep -vE '^(nvidia-|triton|cuda-)' | sed 's/+cpu$$//' > $(PINS)

clean:
	rm -rf $(VENV) build *.egg-info demo

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit("synthpert needs Python 3.11 or newer" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --upgrade pip

$(BASE): pyproject.toml $(PINS) | $(BIN)/python
	$(PIP) install -c $(PINS) -e '.[annotate]'
	touch $@

$(TESTS): $(BASE)
	$(PIP) install -c $(PINS) -e '.[dev]'
	$(BIN)/python -m pip check
	touch $@
