# Everything done here by hand. Needs python3 >= 3.11, make and git; the environments make themselves on first use.

.DEFAULT_GOAL := help
.PHONY: help run demo test test-all check bench openapi build bridge sam-test deploy clean

# The first of these that starts, is new enough and can make environments: a version manager leaves commands on PATH for
# Pythons that it does not have.
usable = import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))
candidates = python3 python3.13 python3.12 python3.11 python3.14
PYTHON ?= $(shell for python in $(candidates); do $$python -c "$(usable)" 2>/dev/null && echo $$python && break; done)

python = .venv/bin/python
sam = SAM_CLI_TELEMETRY=0 .venv-sam/bin/sam

help: ## List what can be made
	@awk -F ' *## *' '/^[a-z-]+:.*##/ {sub(/:.*/, "", $$1); printf "make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: .venv/installed ## Serve everything on loopback until Ctrl-C
	@$(python) -m local $(ARGS)

demo: .venv/installed ## Watch a multi-run of three candidates from start to answer
	@$(python) -m local demo $(ARGS)

test: .venv/installed ## Run the tests; ARGS='-k poller' for some of them
	@$(python) -m pytest -n auto $(ARGS)

test-all: .venv/installed ## Run the tests with more examples of each property, as CI does
	@$(python) -m pytest -n auto --hypothesis-profile=full $(ARGS)

check: .venv/installed .venv-sam/installed ## Check style, types, the template and the OpenAPI document
	$(python) -m ruff check .
	$(python) -m ruff format --check .
	$(python) -m mypy layers functions local
	.venv-sam/bin/cfn-lint template.yaml
	$(sam) validate --region us-east-1
	$(python) -m local.openapi --check

bench: .venv/installed build ## Measure against the baseline of benchmarks/
	@$(python) -m benchmarks $(ARGS)

openapi: .venv/installed ## Write openapi.json from the handlers
	@$(python) -m local.openapi

# SAM starts a make of its own for the layer: it must not inherit what this one was told.
build: .venv-sam/installed ## Build what deploys into .aws-sam/ (sam build)
	@find functions -name __pycache__ -prune -exec rm -rf {} +
	@env -u MAKEFLAGS -u MAKELEVEL PYTHON=$(CURDIR)/.venv-sam/bin/python $(sam) build

bridge: .venv/installed ## Let containers of `sam local` reach `make run` (Docker on Linux)
	@$(python) -m local.bridge $(ARGS)

sam-test: .venv/installed build ## Run what was built under `sam local` (needs a container engine)
	@SAM_LOCAL=1 $(python) -m pytest tests/e2e/test_sam_local.py $(ARGS)

deploy: build ## Deploy to AWS; the first time with ARGS=--guided
	@$(sam) deploy $(ARGS)

clean: ## Remove what was built, cached and installed
	rm -rf .venv .venv-sam .aws-sam .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -prune -exec rm -rf {} +

# --- environments: .venv for the project; .venv-sam apart from it, because SAM pins another pydantic -----------------------

.venv/installed: group = dev
.venv/installed: pyproject.toml constraints.txt
	$(environment)

.venv-sam/installed: group = sam
.venv-sam/installed: pyproject.toml constraints-sam.txt
	$(environment)

# -qq drops pip's warnings about the machine's own settings and keeps its errors. pip itself comes first: older ones do
# not know --group. An environment whose Python is gone is made anew.
define environment
$(if $(PYTHON),,$(error No usable Python. Install Python 3.11 or newer with venv, or name one: make PYTHON=/path/to/python3))
@$(PYTHON) -c "$(usable)" || { echo "$(PYTHON) does not serve: needed is Python 3.11 or newer with venv and ensurepip." >&2; exit 1; }
@echo "Installing into $(@D) (once) ..."
@$(@D)/bin/python -c '' 2>/dev/null || $(PYTHON) -m venv --clear $(@D)
@$(@D)/bin/python -m pip install -qq --disable-pip-version-check -c $(lastword $^) pip
@$(@D)/bin/python -m pip install -qq --disable-pip-version-check -c $(lastword $^) --group $(group)
@touch $@
endef
