# Every verb of the project. Everything made at run time goes below var/, the environment is .venv.
SHELL := /bin/bash
PYTHON ?= python3
BIN := .venv/bin
ENV := .venv/.installed
CONFIG ?= deploy/vigil.yaml
PROCESSES ?= 2
EVIDENCE ?= docs/evidence
REPORT = $(BIN)/python -m pretraining.experiments report --table "$(EVIDENCE)" --page "$(patsubst %/,%,$(EVIDENCE)).md"
DATA ?= $(IMAGING_DATA)
CACHES := .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis .coverage
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help env demo serve check test test-compose lint format bench verify experiments evidence-report wheelhouse clean

help: ## Show this list
	@if [ -t 1 ]; then bold='\033[1m' plain='\033[0m'; fi; awk -F ':.*## ' -v bold="$$bold" -v plain="$$plain" \
	  '/^[a-z-]+:.*## /{printf "  %smake %-12s%s %s\n", bold, $$1, plain, $$2}' $(MAKEFILE_LIST)

env: $(ENV) ## Make the environment .venv with the pinned packages

$(ENV): pyproject.toml constraints.txt
	@echo "Installing into .venv (a few minutes the first time) ..."
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Vigil needs Python 3.11 or newer")'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --constraint constraints.txt torch==2.13.0
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $(ENV)

demo: $(ENV) ## Start the service and a stand-in PACS, send phantom studies, show what comes back; KEEP=1 lets it run on
	$(BIN)/python -m app demo $(if $(KEEP),--keep) $(ARGS)

serve: $(ENV) ## Run the service: make serve CONFIG=my.yaml
	$(BIN)/python -m app serve --config $(CONFIG)

check: $(ENV) ## Say whether a configuration can work: make check CONFIG=my.yaml
	$(BIN)/python -m app check --config $(CONFIG)

test: $(ENV) ## Run every test in PROCESSES=2 (first: xargs -a .ci/packages sudo apt-get install)
	$(BIN)/python -m pytest -m "not bench and not gpu and not compose" -n $(PROCESSES) --dist loadgroup --durations=60 --durations-min=5 $(ARGS)

test-compose: $(ENV) ## Run the containers against a PACS: restarts, kills, a full disk (needs Docker, and dcmtk as make test does)
	@tests/compose/engine.sh check || { echo "How to get one: tests/compose/engine.sh says it at its top." >&2; exit 1; }
	$(BIN)/python -m pytest -m compose -n 0 --timeout=1200 tests/compose $(ARGS)

lint: $(ENV) ## Format check, lint, types, import rules
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(ENV) ## Format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(ENV) ## Measure ingest, turnaround and memory against peers in the same run
	$(BIN)/python -m pytest -m bench -s --timeout=1800 tests/benchmarks $(ARGS)

verify: $(ENV) ## Check every bundle against the contract
	$(BIN)/python -m bundles.verify

experiments: $(ENV) ## Run every small experiment that EVIDENCE=docs/evidence lacks, then the report; those on real images need DATA=folder
	@rc=0; $(BIN)/python -m pretraining.experiments run all --table "$(EVIDENCE)" $(if $(DATA),--data "$(DATA)") $(ARGS) || rc=$$?; \
	  $(REPORT) && exit $$rc

evidence-report: $(ENV) ## Write docs/evidence.md and its pictures from the table of results alone
	$(REPORT)

wheelhouse: ## Fill wheelhouse/ for a build of the image without internet (needs Docker): ARGS="cuda" for GPUs
	deploy/image/fill-wheelhouse $(ARGS)

clean: ## Remove caches, and what the demonstration and measurements left below var/; never studies, models or the environment
	@for kept in var/spool var/results var/vigil.sqlite; do \
	  if [ -e "$$kept" ]; then \
	    echo "make clean: $$kept is here, so this folder holds an installation (make serve). Nothing was removed." \
	      "If its studies may go, remove them yourself (rm -r var/spool var/results var/vigil.sqlite*), then call this again." >&2; \
	    exit 1; \
	  fi; \
	done
	rm -rf $(CACHES) $(addprefix var/,demo bench screenshots)
