# Each target installs its prerequisites. On a machine with Python 3.11 or later, make and a package
# registry, every target works as the first command.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
SHELL := /bin/bash

PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

# A lock file is complete, so pip must not resolve: for a requirement with an extra (`coverage[toml]`), the pip of
# Python 3.11 looks at the newest release before the pinned one, and refuses it. `pip check` proves completeness.
INSTALL := install --quiet --disable-pip-version-check --no-deps --require-hashes --requirement

.PHONY: help setup demo test workflow coverage package lint openapi lock clean verify-template sam-build \
	sam-deploy-local sam-local preflight deploy artifact audit cost smoke \
	faults faults-long faults-report schedules schedules-long schedules-report mutants chaos crowd bench load nightly nightly-tests browser pictures

help: ## Show this list.
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "make %-18s %s\n", $$1, $$2 }'

setup: $(INSTALLED) ## Make .venv from the lock file.

# requirements/dev.txt includes requirements/local.txt, which includes the layers' lock files.
LAYERS := layers/common/requirements.txt layers/authorization/requirements.txt migrations/requirements.txt
$(INSTALLED): requirements/dev.txt requirements/local.txt $(LAYERS) pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed; name it: make PYTHON=python3.13")'
	$(PYTHON) -m venv --clear $(VENV)
	$(RUN)/python -m pip $(INSTALL) requirements/dev.txt
	$(RUN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	$(RUN)/python -m pip check
	touch $@

demo: $(INSTALLED) ## Run a roadmap through the whole system, with three real faults, and heal it (KEEP=1: keep the stack; FRESH=1: in place of an older one).
	@$(RUN)/roadmap demo $(if $(KEEP),--keep) $(if $(FRESH),--fresh)

# Two processes. A process that has run its tests takes over tests of the other one.
STEAL := --numprocesses 2 --dist worksteal
# The tests of a file run in one process, because they share a stack.
BY_FILE := --numprocesses 2 --dist loadfile

test: $(INSTALLED) ## Run the fast tests: unit, and integration on PostgreSQL.
	$(RUN)/python -m pytest $(STEAL) -m "not nightly and not slow" tests/unit tests/integration tests/mutants

workflow: $(INSTALLED) ## Run the whole system on the local cloud; and test PostgreSQL's server and the local cloud itself.
	$(RUN)/python -m pytest $(BY_FILE) tests/workflow

coverage: $(INSTALLED) ## Run the tests of `test`, the slow ones too, and of `workflow`, and print the coverage of the layer; fails below its floor.
	$(RUN)/python -m pytest $(STEAL) tests/unit tests/integration tests/mutants tests/schedules --cov --cov-report= --cov-fail-under=0
	$(RUN)/python -m pytest $(BY_FILE) tests/workflow --cov --cov-append --cov-report=term

package: $(INSTALLED) ## Build the wheel, install it in a new environment, and use it from another folder.
	$(RUN)/python -m pytest tests/package

lint: $(INSTALLED) ## Check style, types and imports.
	$(RUN)/ruff check
	$(RUN)/ruff format --check
	$(RUN)/mypy
	$(RUN)/lint-imports --no-logo --no-cache

.PHONY: product restore-drill incidents
product: $(INSTALLED) ## Beside the product: adopt its database, its 21 write operations, its rows, our runs beside its own.
	$(RUN)/python -m pytest $(BY_FILE) tests/product

verify-template: $(INSTALLED) ## Check the template, the state machine, the events and every role; and the checks themselves.
	$(RUN)/python -m checks.template
	$(RUN)/python -m pytest $(BY_FILE) tests/template tests/sam

sam-build: $(INSTALLED) ## Build every function and layer with the real `sam build`.
	$(RUN)/python -m tests.sam build

sam-deploy-local: $(INSTALLED) ## `sam deploy` to the local cloud, run the sample through it, `sam delete`.
	$(RUN)/python -m tests.sam deploy

sam-local: $(INSTALLED) ## `sam local invoke` of every function and a round trip of the API, in containers.
	$(RUN)/python -m tests.sam local

preflight: $(INSTALLED) ## Name everything that a deployment lacks in the account; nothing is changed: make preflight ENV=staging
	$(RUN)/python -m release.preflight $(ENV)

deploy: $(INSTALLED) ## Preflight, build and deploy one release: make deploy ENV=dev (staging, prod; ARTIFACT=FILE: in place of a build)
	$(RUN)/python -m release $(ENV) $(if $(ARTIFACT),--artifact $(ARTIFACT)) $(if $(YES),--yes)

artifact: $(INSTALLED) ## Build the checked-out commit once, for every environment: release.tar.gz, with its bill of materials beside it.
	$(RUN)/python -m release.building release.tar.gz

# A package without an answer fails, too: --strict.
audit: $(INSTALLED) ## Look every locked package up in a database of known vulnerabilities; needs the internet.
	@failed=; python=$$($(RUN)/python -c 'from local_stack.environments import *; print(environment_python("audit"))'); \
	for lock in requirements/*.txt $(LAYERS); do \
		echo $$lock; $$python -m pip_audit --strict --require-hashes --disable-pip --progress-spinner off --requirement $$lock || failed=1; done; \
	test -z "$$failed"

cost: $(INSTALLED) ## What AWS charges for 1,000 concepts, for a day of 20,000 roadmaps, and for an idle stack.
	$(RUN)/python -m documents.cost

smoke: $(INSTALLED) ## On a deployed stack, what only AWS can prove (never yet run): make smoke STACK=NAME
	@test -n "$(STACK)" || { echo "Name the stack: make smoke STACK=NAME" >&2; exit 2; }
	$(RUN)/python -m smoke $(STACK)

openapi: $(INSTALLED) ## Write what is generated from the code: docs/openapi.json, docs/api.md, docs/schemas/, events/, console/content-types.js.
	$(RUN)/python -m documents.openapi
	$(RUN)/python -m documents.schemas
	$(RUN)/python -m documents.events
	$(RUN)/python -m documents.content_types

lock: $(INSTALLED) ## Resolve the packages anew and write the lock files.
	$(RUN)/python -m pip $(INSTALL) requirements/lock.txt
	$(COMPILE) $(LAYER) --group layer --output-file layers/common/requirements.txt
	$(COMPILE) $(LAYER) $(call beyond,layers/common/requirements.txt) --group authorization --output-file layers/authorization/requirements.txt
	$(COMPILE) $(LAYER) $(call beyond,layers/common/requirements.txt) --group migrations --output-file migrations/requirements.txt
	$(COMPILE) $(call beyond,$(LAYERS)) --extra local --output-file requirements/local.txt pyproject.toml
	$(call include,$(LAYERS:%=../%),requirements/local.txt)
	$(COMPILE) $(call beyond,$(LAYERS) requirements/local.txt) --group dev --output-file requirements/dev.txt
	$(call include,local.txt,requirements/dev.txt)
	for group in bench browser; do \
		$(COMPILE) --constraint requirements/dev.txt --group $$group --output-file requirements/$$group.txt || exit; done
	for group in audit client cloud faults lock operator peers pip runtime verify sam; do \
		$(COMPILE) --group $$group --output-file requirements/$$group.txt || exit; done
	$(RUN)/python -m release.lock_files requirements/*.txt $(LAYERS)

COMPILE := $(RUN)/uv pip compile --quiet --universal --generate-hashes --no-header --no-annotate --python-version 3.11
# SQLAlchemy needs greenlet only for asyncio.
LAYER := --no-emit-package greenlet
# A lock file has only the packages that are not in the lock files beside it.
beyond = $(1:%=--constraint %) $$(sed -n 's/^\([^ =]*\)==.*/--no-emit-package \1/p' $(1))
include = { printf -- '-r %s\n' $(1); cat $(2); } > $(2).new && mv $(2).new $(2)

clean: ## Remove everything that the other targets made.
	rm -rf $(VENV) .local .aws-sam .mypy_cache .pytest_cache .ruff_cache

# Each run has a new seed and prints it; `make faults FAULTS_SEED=…` runs the same histories again.
FAULTS_SEED ?= $(shell date +%s)
# Three processes on two cores, because the cells of the matrix mostly wait.
FAULTS := $(RUN)/python -m pytest --numprocesses 3 --dist worksteal tests/faults

# `make faults FAULTS_CELLS=sample` runs a cell of each fault and of each step, in place of all cells, and 80 histories.
export FAULTS_CELLS

faults: $(INSTALLED) ## Produce every failure: the oracle, poison, 200 histories, and the matrix as a table.
	FAULTS_SEED=$(FAULTS_SEED) FAULTS_HISTORIES=$(if $(filter sample,$(FAULTS_CELLS)),80,200) $(FAULTS)

faults-report: $(INSTALLED) ## Run the fault matrices and write their results to docs/faults.md.
	FAULTS_CELLS=all FAULTS_REPORT=write $(FAULTS)/matrix/test_matrix.py tests/faults/matrix/test_recoveries.py

faults-long: $(INSTALLED) ## The same with 1,000 histories.
	FAULTS_SEED=$(FAULTS_SEED) FAULTS_HISTORIES=1000 $(FAULTS)

SCHEDULES_MINUTES ?= 10
SCHEDULES_SEED ?= $(shell date +%s)

schedules: $(INSTALLED) ## Play every schedule of two actors with one preemption or crash (SCHEDULES=all: of every pair; SCHEDULE=…: one again).
	$(RUN)/python -m tests.schedules "$(or $(SCHEDULE),$(SCHEDULES))"

schedules-long: $(INSTALLED) ## The same for every pair, then a sample of two preemptions and of three actors (SCHEDULES_MINUTES=, SCHEDULES_SEED=).
	$(RUN)/python -m tests.schedules all --minutes $(SCHEDULES_MINUTES) --seed $(SCHEDULES_SEED)

schedules-report: $(INSTALLED) ## Explore the pairs of `make schedules` and write docs/schedules.md.
	$(RUN)/python -m tests.schedules --report

mutants: $(INSTALLED) ## Remove each guard from a copy of the code; a test must fail.
	$(RUN)/python -m tests.mutants

restore-drill: $(INSTALLED) ## Restore a backup of the database with newer content in S3, and time it; ends with one JSON line.
	$(RUN)/python -m tests.faults.soak restore

incidents: $(INSTALLED) ## Play the runbook's five incidents on the local stack, and follow its commands literally.
	$(RUN)/python -m pytest tests/workflow/incidents.py

drill: $(INSTALLED) ## Break 1,000 tasks in four ways and heal them with one recovery; ends with one JSON line (SCENARIO=model: replace what a model wrote).
	$(RUN)/python -m tests.faults.soak $(or $(SCENARIO),outages)

chaos: $(INSTALLED) ## 500 tasks while PostgreSQL and the functions are killed: about 10 minutes (CHAOS_TASKS=, CHAOS_SEED=).
	$(RUN)/python -m tests.faults.soak chaos $(addprefix --tasks=,$(CHAOS_TASKS)) $(addprefix --seed=,$(CHAOS_SEED))

crowd: $(INSTALLED) ## 100 roadmaps at once in the queue of a local stack: the stop switch, and kills, also of the API (CROWD_TASKS=).
	$(RUN)/python -m tests.faults.soak crowd $(addprefix --tasks=,$(CROWD_TASKS))

$(VENV)/.browser: $(INSTALLED) requirements/browser.txt
	$(RUN)/python -m pip $(INSTALL) requirements/browser.txt
	$(RUN)/python -m pip check
	touch $@

browser: $(VENV)/.browser ## Go through the console with a real Chromium, on a real stack: every view, role, language, theme and fault.
	$(RUN)/python -m checks.console.machine
	$(RUN)/python -m checks.console.types
	$(RUN)/python -m pytest $(BY_FILE) tests/browser

pictures: $(VENV)/.browser ## Take the pictures of the console that README and docs show.
	$(RUN)/python -m checks.console.machine
	$(RUN)/python -m tests.browser.pictures

$(VENV)/.bench: $(INSTALLED) requirements/bench.txt
	$(RUN)/python -m pip $(INSTALL) requirements/bench.txt
	$(RUN)/python -m pip check
	touch $@

BENCH ?= saving growth cold peers

bench: $(VENV)/.bench ## Measure: saving, growth, cold start, peers (BENCH=cold: one; SHORT=1: fails where a limit is missed by far).
	@failed=; for each in $(BENCH); do \
		$(RUN)/python -m benchmarks.$$each $(if $(SHORT),--short) || failed="$$failed $$each"; done; \
	test -z "$$failed" || { echo "Failed:$$failed" >&2; exit 1; }

load: $(INSTALLED) ## A thousand roadmaps at once and other loads, through the real admission, in virtual time.
	$(RUN)/python -m benchmarks.load

# Parts of the nightly run, shortest first.
NIGHTLY := audit nightly-tests bench chaos crowd schedules-long faults-long mutants

nightly: ## What depends on the machine or takes long. A failed part does not stop the others; the last line lists it.
	@failed=; for part in $(NIGHTLY); do \
		echo "make $$part"; $(MAKE) --no-print-directory $$part || failed="$$failed $$part"; done; \
	test -z "$$failed" || { echo "Failed:$$failed" >&2; exit 1; }

nightly-tests: $(VENV)/.browser ## Run the tests that depend on the versions of packages, and the other looks of the console.
	$(RUN)/python -m pytest -m nightly tests/unit tests/integration tests/package tests/browser
