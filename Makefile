# What can be done in a checkout. Needs make, bash and Python 3.11 or newer; everything else is
# installed into .venv.

PYTHON ?= python3
SHARED ?= ../shared
DEMO_MINUTES ?= 2
SHELL := bash

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip
# Another torch, kept for later runs of make: a requirement (TORCH='torch==2.14.1'), pip options
# with one, or the address of an index (TORCH=https://download.pytorch.org/whl/cu128).
TORCH ?= $(shell cat $(VENV)/torch 2>/dev/null)
TORCH_ARGS = $(if $(filter http%,$(firstword $(TORCH))),--index-url $(TORCH) torch,$(TORCH))
CONSTRAINTS = $(if $(TORCH),$(VENV)/constraints.txt,constraints.txt)
SOURCES := pyproject.toml constraints.txt $(shell find midigen plugins manpages -type f ! -name '*.pyc' ! -name '*.so')
# A developer's editable install serves everything; without one, the package is installed normally.
INSTALLED := $(if $(wildcard $(VENV)/.editable),$(VENV)/.editable,$(VENV)/.installed)
MUSIC := $(if $(DEMO),,$(VENV)/.music)

.PHONY: help install dev demo test lint man man-check check-oracle bench compare starter wheel clean
.DELETE_ON_ERROR:

help: ## say what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-14s%s\n", $$1, $$2}' Makefile

install: $(VENV)/.installed ## make .venv and install midigen with exact versions (TORCH=... for another torch)

dev: $(VENV)/.editable ## the same, editable and with the tools of development

demo: $(INSTALLED) $(MUSIC) ## train on real music for a few minutes and make MIDI files (DEMO=FOLDER: your music)
	PATH="$(CURDIR)/$(BIN):$$PATH" tests/demo/demo.sh "$(DEMO_MINUTES)" "$(DEMO)"

test: $(INSTALLED) $(VENV)/.tools ## run the tests
	$(BIN)/pytest -n 2 --dist loadfile

lint: $(INSTALLED) $(VENV)/.tools ## check style and types
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy midigen plugins

man: $(INSTALLED) ## write the manual pages from the commands
	$(BIN)/python manpages/generate.py

man-check: $(INSTALLED) ## check that the manual pages are those that the commands give
	$(BIN)/python manpages/generate.py --check

check-oracle: $(INSTALLED) $(VENV)/.tools ## compare with MidiTok, mido and slower ways on the files of SHARED=FOLDER: hours
	$(BIN)/python tests/oracle/check_remi.py -j 2 $(SHARED)/corpus
	$(BIN)/python tests/oracle/check_fast.py -j 2 $(SHARED)/corpus
	$(BIN)/python tests/oracle/check_grammar.py -j 2 $(SHARED)/corpus
	$(BIN)/python tests/oracle/check_twins.py $(SHARED)/corpus
	$(BIN)/python tests/oracle/check_miditok.py -j 2 --sample 600 $(SHARED)/corpus
	$(BIN)/python tests/oracle/check_events.py -j 2 $(SHARED)/corpus
	$(BIN)/python tests/oracle/check_tokenizers.py -j 2
	$(BIN)/python tests/oracle/check_samples.py -j 2
	$(BIN)/python tests/oracle/check_batches.py
	$(MAKE) -C plugins/midigen_starter/recipe BIN="$(CURDIR)/$(BIN)" SHARED="$(abspath $(SHARED))" records
	$(BIN)/python tests/oracle/check_infill.py -m plugins/midigen_starter/weights build/starter/all.jsonl
	$(BIN)/midi2tok $(SHARED)/corpus/permissive | $(BIN)/python tests/oracle/check_precision.py -m plugins/midigen_starter/weights
	$(BIN)/python tests/oracle/check_nasty.py $(SHARED)/nasty
	$(BIN)/python tests/oracle/check_mutations.py
	$(BIN)/python tests/oracle/check_kills.py $(SHARED)/corpus/pop909

bench: $(INSTALLED) $(VENV)/.tools ## measure on the music of SHARED=FOLDER, and print a table
	set -o pipefail; { \
	    $(BIN)/python tests/bench/bench_encode.py $(SHARED)/corpus/pop909 && \
	    $(BIN)/python tests/bench/bench_tokenizers.py $(SHARED)/corpus/pop909 && \
	    $(BIN)/python tests/bench/bench_stream.py $(SHARED)/corpus/pop909 && \
	    $(BIN)/python tests/bench/bench_pipeline.py $(SHARED)/corpus && \
	    $(BIN)/python tests/bench/bench_models.py && \
	    $(BIN)/python tests/bench/bench_sampling.py; \
	} | $(BIN)/python tests/bench/table.py

compare: $(INSTALLED) $(VENV)/.tools ## train every architecture for ten minutes on POP909 of SHARED=FOLDER, and print their losses: an hour
	$(BIN)/python tests/bench/compare_models.py $(SHARED)/corpus/pop909

starter: $(INSTALLED) ## build the starter model from SHARED=FOLDER
	$(MAKE) -C plugins/midigen_starter/recipe BIN="$(CURDIR)/$(BIN)" SHARED="$(abspath $(SHARED))"

wheel: $(VENV)/bin/python ## build dist/*.whl
	rm -rf build/lib build/bdist.* dist
	$(PIP) wheel --no-deps --wheel-dir dist .

clean: ## remove what was built, .venv included
	rm -rf $(VENV) build dist demo *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
	find plugins -name '*.so' -delete

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Python 3.11 or newer is needed; this is %s; make PYTHON=... names another" % sys.version.split()[0])'
	$(PYTHON) -m venv $(VENV)

# build/lib keeps files that are gone from the sources; a wheel made over it would ship them.
$(VENV)/.installed: $(SOURCES) $(VENV)/torch
	rm -rf build/lib build/bdist.*
	$(PIP) install --quiet --constraint $(CONSTRAINTS) .
	rm -f $(VENV)/.editable
	touch $@

$(VENV)/.editable: pyproject.toml constraints.txt $(wildcard plugins/midigen_llama/native/* midigen/layers/native/*) $(VENV)/torch
	$(PIP) install --quiet --constraint $(CONSTRAINTS) --editable '.[dev]'
	rm -f $(VENV)/.installed
	touch $@

# Only a change of the choice writes this file, so only that installs again.
$(VENV)/torch: constraints.txt FORCE | $(VENV)/bin/python
	@if [ ! -e $@ ] || [ "$$(cat $@)" != '$(TORCH)' ] || [ constraints.txt -nt $@ ]; then \
	    grep -v '^torch==' constraints.txt > $(VENV)/constraints.txt && \
	    $(if $(TORCH),echo "installing $(TORCH)" && $(PIP) install --quiet --constraint $(VENV)/constraints.txt $(TORCH_ARGS) &&) \
	    printf '%s' '$(TORCH)' > $@; \
	fi

# The package is there already: pip adds what its extra names and leaves it alone.
$(VENV)/.tools: pyproject.toml constraints.txt | $(INSTALLED)
	$(PIP) install --quiet --constraint $(CONSTRAINTS) 'midigen[demo,dev]'
	touch $@

$(VENV)/.music: pyproject.toml constraints.txt | $(INSTALLED)
	$(PIP) install --quiet --constraint $(CONSTRAINTS) 'midigen[demo]'
	touch $@

FORCE:
