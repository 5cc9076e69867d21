# Each target installs its prerequisites. On a machine with Python 3.11 or later, make and a package
# registry, every target works as the first command. A parameter is given behind it: make bench BENCH=cold
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
SHELL := /bin/bash
# As in .ci/run: where it is set, each process compiles our modules again, which is 3 s for the tests.
unexport PYTHONDONTWRITEBYTECODE

PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

# A lock file is complete, so pip must not resolve: for a requirement with an extra (`coverage[toml]`), the pip of
# Python 3.11 looks at the newest release before the pinned one, and refuses it. `pip check` proves completeness.
INSTALL := install --quiet --disable-pip-version-check --no-deps --require-hashes --requirement

.PHONY: help setup demo test lint workflow product browser schedules faults mutants drill load bench nightly \
	verify-template sam-build sam-deploy-local sam-local preflight artifact deploy first-day openapi lock audit

help: ## Show this list.
	@awk -F ':.*## ' '/^## /{ print "\n" substr($$0, 4) } /^[a-z-]+:.*## /{ printf "  make %-18s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

## Begin

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

$(VENV)/.more: $(INSTALLED) requirements/more.txt
	$(RUN)/python -m pip $(INSTALL) requirements/more.txt
	$(RUN)/python -m pip check
	touch $@

demo: $(INSTALLED) ## Run a roadmap through the system with three real faults, and heal it (KEEP=1: keep the stack; FRESH=1: replace one).
	@$(RUN)/roadmap demo $(if $(KEEP),--keep) $(if $(FRESH),--fresh)

## Check a change

# Two processes. A process that has run its tests takes over tests of the other one.
STEAL := --numprocesses 2 --dist worksteal
# The tests of a file run in one process, because they share a stack.
BY_FILE := --numprocesses 2 --dist loadfile

lint: $(INSTALLED) ## Check style, types and imports.
	$(RUN)/ruff check
	$(RUN)/ruff format --check
	$(RUN)/mypy
	$(RUN)/lint-imports --no-logo --no-cache

test: $(INSTALLED) ## Run the fast tests: unit, and integration on PostgreSQL (COVERAGE=1: also the slow ones and `workflow`, with the coverage of the layer).
ifdef COVERAGE
	$(RUN)/python -m pytest $(STEAL) --hypothesis-profile=thorough tests/unit tests/integration tests/mutants tests/schedules \
		--cov --cov-report= --cov-fail-under=0
	$(RUN)/python -m pytest $(BY_FILE) tests/workflow --cov --cov-append --cov-report=term
else
	$(RUN)/python -m pytest $(STEAL) -m "not nightly and not slow" tests/unit tests/integration tests/mutants
endif

workflow: $(INSTALLED) ## Run the whole system on the local cloud (ALL=1: also test the local stack itself; TESTS=tests/package: the wheel; TESTS=tests/workflow/incidents.py).
	$(RUN)/python -m pytest $(BY_FILE) $(if $(ALL),-m "") $(or $(TESTS),tests/workflow)

product: $(INSTALLED) ## Beside the product: adopt its database, its 21 write operations, its rows, our runs beside its own (MINUTES=10 SEED=: both at once, for so long).
	$(if $(MINUTES),STORM_MINUTES=$(MINUTES) STORM_SEED=$(SEED)) $(RUN)/python -m pytest $(BY_FILE) $(if $(MINUTES),-rP -k no_operation_of_the_product_fails) tests/product

browser: $(VENV)/.more ## Go through the console with a real Chromium, on the real API with real tasks in every state (LOOKS=sample: a story and one look of each view; SETUP=1: only install the browser; PICTURES=1: take the documents' pictures).
	$(RUN)/python -m checks.console.machine
ifdef PICTURES
	$(RUN)/python -m tests.browser.pictures
else ifndef SETUP
	$(RUN)/python -m checks.console.types
	$(RUN)/python -m pytest $(BY_FILE) $(if $(filter sample,$(LOOKS)),,-m "") tests/browser
endif

verify-template: $(INSTALLED) ## Check the template, the state machine and every role (ALL=1: each value of each parameter, and the checks themselves).
	$(RUN)/python -m checks.template $(if $(ALL),--every-value)
	$(RUN)/python -m pytest $(BY_FILE) $(if $(ALL),-m "") tests/template tests/sam

sam-build: $(INSTALLED) ## Build every function and layer with the real `sam build`.
	$(RUN)/python -m tests.sam build

sam-deploy-local: $(INSTALLED) ## `sam deploy` to the local cloud, run the sample through it, `sam delete`.
	$(RUN)/python -m tests.sam deploy

sam-local: $(INSTALLED) ## `sam local invoke` of every function and a round trip of the API, in containers.
	$(RUN)/python -m tests.sam local

## Look for what nobody thought of

SEED ?= $(shell date +%s)

schedules: $(INSTALLED) ## Play every schedule of two actors with one preemption or crash (SCHEDULES=all: every pair; third: a third of them, another one each day; SCHEDULE=…: one again; MINUTES=10 SEED=: then draw others).
	$(RUN)/python -m tests.schedules "$(or $(SCHEDULE),$(SCHEDULES))" $(if $(MINUTES),--minutes $(MINUTES) --seed $(SEED))

# Each run has a new seed and prints it; `make faults FAULTS_SEED=…` repeats its random tests.
FAULTS_SEED ?= $(SEED)

faults: $(INSTALLED) ## Produce every failure: the oracle, each step under each fault, hostile HTTP, late messages of earlier lives (FAULTS_CELLS=sample: some cells).
	FAULTS_SEED=$(FAULTS_SEED) $(RUN)/python -m pytest $(STEAL) $(if $(filter sample,$(FAULTS_CELLS)),,-m "") tests/faults

mutants: $(INSTALLED) ## Remove each guard from a copy of the code; a test must fail.
	$(RUN)/python -m tests.mutants

drill: $(INSTALLED) ## 1,000 tasks break in four ways, and one recovery heals them (DRILL=restore: a restored backup, TASKS=).
	$(RUN)/python -m tests.faults.soak $(or $(DRILL),outages) $(addprefix --tasks=,$(TASKS))

load: $(INSTALLED) ## A thousand roadmaps at once and other loads, through the real admission, in virtual time (SHORT=1: a tenth of them).
	$(RUN)/python -m benchmarks.load $(if $(SHORT),--short)

BENCH ?= saving growth cold peers
bench: $(VENV)/.more ## Measure: saving, growth, cold start, peers (BENCH=cold: one; SHORT=1: fails where a limit is missed by far).
	@failed=; for each in $(BENCH); do \
		$(RUN)/python -m benchmarks.$$each $(if $(SHORT),--short) || failed="$$failed $$each"; done; \
	test -z "$$failed" || { echo "Failed:$$failed" >&2; exit 1; }

# The commands that documents name for their figures, with `+` for each space. They run in their short form.
FIGURES := $(shell grep -ohE '`(make (bench|load|drill)|\.venv/bin/python -m documents)[^`]*`' docs/*.md | tr -d '`' | tr ' ' '+' | sort -u)

# A part is the target of its name, the command `part-…`, or a command of `FIGURES`.
NIGHTLY := audit package nightly-tests removal incidents sam-deploy-local sam-local product verify-template browser coverage \
	$(FIGURES) schedules faults mutants
part-package = $(MAKE) workflow TESTS=tests/package
part-nightly-tests = $(RUN)/python -m pytest -m nightly tests/unit tests/integration tests/package tests/workflow
part-removal = $(RUN)/python -m checks.removal
part-incidents = $(MAKE) workflow TESTS=tests/workflow/incidents.py
part-verify-template = $(MAKE) verify-template ALL=1
part-coverage = $(MAKE) test COVERAGE=1
part-schedules = $(MAKE) schedules SCHEDULES=third MINUTES=5

nightly: $(INSTALLED) ## Everything that the gate leaves out; ends with a line for each part (OFFLINE=1: without the audit).
	@lines=; failed=; \
	part() { local name=$$1 begun=$$SECONDS result=passed; shift; echo "$$name: $$*"; "$$@" || { result=FAILED; failed=1; }; \
		lines+="$$name: $$result in $$((SECONDS - begun)) s"$$'\n'; }; \
	$(foreach name,$(NIGHTLY),$(if $(and $(OFFLINE),$(filter audit,$(name))),lines+=$$'$(name): left out\n';,part $(name) $(or $(part-$(name)),$(if $(findstring +,$(name)),env SHORT=1 $(subst +, ,$(name)),$(MAKE) $(name)));)) \
	printf '%s' "$$lines"; test -z "$$failed"

## Release

preflight: $(INSTALLED) ## Name everything that a deployment lacks in the account; nothing is changed: make preflight ENV=staging
	$(RUN)/python -m release $(ENV) --preflight

artifact: $(INSTALLED) ## Build the checked-out commit once, for every environment: release.tar.gz, with its bill of materials beside it.
	$(RUN)/python -m release.building release.tar.gz

deploy: $(INSTALLED) ## Preflight, build and deploy one release: make deploy ENV=dev (staging, prod; ARTIFACT=FILE: in place of a build; RELEASES=3: how many are kept)
	$(RUN)/python -m release $(ENV) $(if $(ARTIFACT),--artifact $(ARTIFACT)) $(if $(YES),--yes) $(if $(RELEASES),--keep $(RELEASES))

first-day: $(INSTALLED) ## Try on a deployed stack what we believe about AWS (never yet run): make first-day STACK=staging (STACK=local; DRY_RUN=1; SMOKE=1; ONLY=failover,limit; ARTIFACT=FILE).
	@test -n "$(STACK)" || { echo "Name the stack: make first-day STACK=staging" >&2; exit 2; }
	$(RUN)/python -m first_day $(STACK) $(if $(SMOKE),--smoke) $(if $(DRY_RUN),--dry-run) $(addprefix --only=,$(ONLY)) $(addprefix --artifact=,$(ARTIFACT))

## Generate and maintain

openapi: $(INSTALLED) ## Write what is generated from the code: docs/openapi.json, docs/api.md, docs/schemas/, events/, two modules of the console.
	$(RUN)/python -m documents.openapi
	$(RUN)/python -m documents.schemas
	$(RUN)/python -m documents.events
	$(RUN)/python -m documents.content_types
	$(RUN)/python -m documents.console_types

# The lock files, and why each is one of its own:
# layers/common         what every function has, as light as it can be
# layers/authorization  what the authorizer has besides
# migrations            what the migration has besides
# requirements/local    the extra `local` of the wheel: the stack on one machine
# requirements/dev      the development environment: includes all above
# requirements/more     added to it for the browser, the benchmarks and the peers, because it is large
# requirements/cloud    the local cloud, which pins botocore; part of the wheel
# requirements/runtime  only what the Lambda runtime has, so that a package missing in a layer is also missing here
# requirements/sam      the SAM CLI and the AWS CLI, which pin botocore
# requirements/checks   linters, audit, generators: checkov pins an old botocore
lock: $(INSTALLED) ## Resolve the packages anew and write the lock files.
	$(COMPILE) $(LAYER) --group layer --output-file layers/common/requirements.txt
	$(COMPILE) $(LAYER) $(call beyond,layers/common/requirements.txt) --group authorization --output-file layers/authorization/requirements.txt
	$(COMPILE) $(LAYER) $(call beyond,layers/common/requirements.txt) --group migrations --output-file migrations/requirements.txt
	$(COMPILE) $(call beyond,$(LAYERS)) --extra local --output-file requirements/local.txt pyproject.toml
	$(call include,$(LAYERS:%=../%),requirements/local.txt)
	$(COMPILE) $(call beyond,$(LAYERS) requirements/local.txt) --group dev --output-file requirements/dev.txt
	$(call include,local.txt,requirements/dev.txt)
	$(COMPILE) --constraint requirements/dev.txt $(call beyond,requirements/dev.txt requirements/local.txt $(LAYERS)) --group more --output-file requirements/more.txt
	for group in checks cloud runtime sam; do \
		$(COMPILE) --group $$group --output-file requirements/$$group.txt || exit; done

CHECKS = $$($(RUN)/python -c 'from local_stack.environments import *; print(environment_python("checks").parent)')
COMPILE = $(CHECKS)/uv pip compile --quiet --universal --generate-hashes --no-header --no-annotate --python-version 3.11
# SQLAlchemy needs greenlet only for asyncio.
LAYER := --no-emit-package greenlet
# A lock file has only the packages that are not in the lock files beside it.
beyond = $(1:%=--constraint %) $$(sed -n 's/^\([^ =]*\)==.*/--no-emit-package \1/p' $(1))
include = { printf -- '-r %s\n' $(1); cat $(2); } > $(2).new && mv $(2).new $(2)

# A package without an answer fails, too: --strict.
audit: $(INSTALLED) ## Look every locked package up in a database of known vulnerabilities; needs the internet.
	@failed=; for lock in requirements/*.txt $(LAYERS); do \
		echo $$lock; $(CHECKS)/python -m pip_audit --strict --require-hashes --disable-pip --progress-spinner off --requirement $$lock || failed=1; done; \
	test -z "$$failed"
