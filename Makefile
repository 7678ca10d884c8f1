# The commands of this repository. They need Python 3.11 or newer, make and git. Each environment is created on first use.

.DEFAULT_GOAL := help
.PHONY: help run demo test test-all soak check bench openapi build bridge sam-test deploy clean

# The first of these that starts, is new enough and can create environments. A version manager leaves commands on PATH for
# Pythons that are not installed.
usable = import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))
candidates = python3 python3.13 python3.12 python3.11 python3.14
PYTHON ?= $(shell for python in $(candidates); do $$python -c "$(usable)" 2>/dev/null && echo $$python && break; done)

python = .venv/bin/python
sam = SAM_CLI_TELEMETRY=0 .venv-sam/bin/sam

help: ## List the commands
	@awk -F ' *## *' '/^[a-z-]+:.*##/ {sub(/:.*/, "", $$1); printf "make %-8s  %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: .venv/installed ## Serve everything on loopback until Ctrl-C
	@$(python) -m local $(ARGS)

demo: .venv/installed ## Show a multi-run of three candidates from the request to the answer
	@$(python) -m local demo $(ARGS)

# Bytecode is written even if the shell forbids it: every worker imports all test modules, and a stack starts many processes.
test test-all: export PYTHONDONTWRITEBYTECODE =

test: .venv/installed ## Run the tests, property tests with few examples; ARGS='-k poller' for some of them
	@$(python) -m pytest -n auto $(ARGS)

test-all: .venv/installed .venv-sam/installed ## Run the tests with all examples, as CI does
	@$(python) -m pytest -n auto --hypothesis-profile full $(ARGS)

soak: .venv/installed ## Put a local stack under load with faults, and check what everybody saw; ARGS='--callers 20 --minutes 1'
	@$(python) -m local.soak $(ARGS)

check: .venv/installed .venv-sam/installed ## Check style, types, the template and the OpenAPI document
	$(python) -m ruff check .
	$(python) -m ruff format --check .
	$(python) -m mypy layers functions local
	.venv-sam/bin/cfn-lint template.yaml
	$(sam) validate --region us-east-1
	$(python) -m local.openapi --check

bench: .venv/installed build ## Measure against the baseline in benchmarks/
	@$(python) -m benchmarks $(ARGS)

openapi: .venv/installed ## Generate openapi.json from the handlers, and docs/command-line.md from the commands
	@$(python) -m local.openapi
	@PYTHONPATH=layers/codegen $(python) -m local.command_page

# x86_64 or arm64. The built template names the architecture of the built layer, so they always fit.
ARCHITECTURE ?= x86_64

# SAM runs make for the layer, which must not inherit the flags of this one.
build: .venv-sam/installed ## Build the functions and the layer into .aws-sam/; ARCHITECTURE=arm64 for Graviton
	@find functions -name __pycache__ -prune -exec rm -rf {} +
	@env -u MAKEFLAGS -u MAKELEVEL PYTHON=$(CURDIR)/.venv-sam/bin/python ARCHITECTURE=$(ARCHITECTURE) $(sam) build
	@sed -i.x86_64 's/^\( *- \)x86_64$$/\1$(ARCHITECTURE)/' .aws-sam/build/template.yaml
	@rm .aws-sam/build/template.yaml.x86_64

bridge: .venv/installed ## Let the containers of `sam local` reach `make run` (Docker on Linux)
	@$(python) -m local.bridge $(ARGS)

sam-test: .venv/installed build ## Test the build under `sam local` (needs a container engine)
	@SAM_LOCAL=1 $(python) -m pytest tests/e2e/test_sam_local.py $(ARGS)

deploy: build ## Deploy to AWS; ARGS=--guided asks for the parameters
	@$(sam) deploy $(ARGS)

clean: ## Remove builds, caches and environments
	rm -rf .venv .venv-sam .aws-sam .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -prune -exec rm -rf {} +

# --- environments: .venv for the project, and .venv-sam for SAM, which pins another pydantic -------------------------------

.venv/installed: group = dev
.venv/installed: pyproject.toml constraints.txt
	$(environment)

.venv-sam/installed: group = sam
.venv-sam/installed: pyproject.toml constraints-sam.txt
	$(environment)

# -qq hides pip's warnings about the settings of the machine, but not its errors. pip itself is installed first, because
# older versions have no --group. An environment whose Python is gone is created again.
define environment
$(if $(PYTHON),,$(error No usable Python was found. Install Python 3.11 or newer with venv, or name one: make PYTHON=/path/to/python3))
@$(PYTHON) -c "$(usable)" || { echo "$(PYTHON) cannot be used. Python 3.11 or newer with venv and ensurepip is required." >&2; exit 1; }
@echo "Installing into $(@D) (once) ..."
@$(@D)/bin/python -c '' 2>/dev/null || $(PYTHON) -m venv --clear $(@D)
@$(@D)/bin/python -m pip install -qq --disable-pip-version-check -c $(lastword $^) pip
@$(@D)/bin/python -m pip install -qq --disable-pip-version-check -c $(lastword $^) --group $(group)
@touch $@
endef
