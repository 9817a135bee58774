# make demo, make test and make docs set the environment up first if it is not there.

PYTHON ?= python3
# Cores of the demo, and processes of the tests.
CORES ?= 2
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.complete
# Snakemake's rules call `unimat` by name.
export PATH := $(CURDIR)/$(BIN):$(PATH)

.DEFAULT_GOAL := help
.PHONY: help env gpaw demo ablation test test-slow lint format docs bench profiles constraints clean

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

env: $(READY)  ## a virtual environment in .venv, pinned by constraints.txt

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "unimat needs Python 3.11 or newer; try: make PYTHON=python3.11 $(MAKECMDGOALS)" >&2; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --constraint constraints.txt --editable '.[workflow,test,lint,docs]'
	touch $@

demo: $(READY)  ## dataset to report on silicon-carbon, about five minutes on 2 cores
	$(BIN)/snakemake --cores $(CORES)
	@$(BIN)/python workflow/scripts/show_headline.py results/demo

# One run after the other, and on past one that fails; the last lines name the result files.
ablation: $(READY)  ## the variants of config/ablation on Carbon-24, hours, resumable, into docs/reproduction/
	@for variant in $(filter-out config/ablation/base.yaml,$(wildcard config/ablation/*.yaml)); do \
		$(BIN)/snakemake reproduction --cores $(CORES) --configfile config/ablation/base.yaml $$variant || \
			failed="$$failed $$variant"; \
	done; ls docs/reproduction/ablation_*.json; test -z "$$failed" || { echo "not finished:$$failed" >&2; exit 1; }

gpaw: $(READY)  ## add GPAW, built with libxc-dev libopenblas-dev libfftw3-dev libopenmpi-dev
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[gpaw]'

test: $(READY)  ## the tests
	$(BIN)/python -m pytest --numprocesses $(CORES) --dist loadscope

test-remaining: $(READY)  ## what the last run skipped for want of GPAW, Slurm, Chromium or published data
	$(BIN)/python -m pytest --remaining --numprocesses $(CORES) --dist loadscope

test-slow: $(READY)  ## the tests that are too long for every landing
	$(BIN)/python -m pytest -m slow

lint: $(READY)  ## formatter, linters, type checker, spelling
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/snakefmt --check workflow
	$(BIN)/snakemake --lint
	$(BIN)/codespell

format: $(READY)  ## mend what the formatters can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/snakefmt workflow

docs: $(READY)  ## the pages, into site/
	$(BIN)/python docs/generate.py
	$(BIN)/mkdocs build --strict

bench: $(READY)  ## run tests/benchmarks/*.py, write docs/benchmarks.md
	$(BIN)/python -m tests.benchmarks

profiles: $(READY)  ## let `snakemake --profile slurm`, `pbs` and `tpu` find profiles/
	@folder=$$($(BIN)/python -c 'from snakemake.common import get_appdirs; print(get_appdirs().user_config_dir)') && \
	mkdir -p "$$folder" && for name in slurm pbs tpu; do \
		link="$$folder/$$name"; \
		if [ -e "$$link" ] && [ ! -L "$$link" ]; then \
			echo "$$link is there and is no link; move it away, or use --workflow-profile $$name" >&2; exit 1; \
		fi; \
		ln -sfn "$(CURDIR)/profiles/$$name" "$$link" && echo "$$link -> profiles/$$name"; \
	done

constraints: pyproject.toml  ## write constraints.txt anew from a fresh environment
	fresh=$$(mktemp -d) && trap 'rm -rf "$$fresh"' EXIT && $(PYTHON) -m venv "$$fresh" && \
	"$$fresh/bin/python" -m pip install --editable '.[workflow,test,lint,docs]' && \
	{ grep '^#' constraints.txt; "$$fresh/bin/python" -m pip list --format=freeze --exclude-editable | \
		grep -v -E '^(pip|unimat)==' | sed 's/+[a-z0-9.]*$$//'; } > "$$fresh/constraints.txt" && \
	mv "$$fresh/constraints.txt" constraints.txt

clean:  ## remove what the tools leave behind; results/ and .venv/ stay
	rm -rf build dist site *.egg-info .pytest_cache .ruff_cache .mypy_cache .hypothesis
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +
