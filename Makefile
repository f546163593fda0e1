# The table of contents: what can be done here, each in one line. `make` alone prints it.
BIN = .venv/bin
# One worker more than processors: some tests only wait.
WORKERS ?= $(shell echo $$(( $$(getconf _NPROCESSORS_ONLN) + 1 )))
# What each worker compiles is kept for the next run, even where PYTHONDONTWRITEBYTECODE says otherwise: half of collecting.
PYTEST = PYTHONDONTWRITEBYTECODE= $(BIN)/pytest -n $(WORKERS) --dist worksteal -rs
SAM = AWS_DEFAULT_REGION=$${AWS_DEFAULT_REGION:-eu-west-1} SAM_CLI_TELEMETRY=0 .venv-sam/bin/sam
INSTALL = tools/install.py
LOCK = uv pip compile --quiet --generate-hashes --only-binary :all: --custom-compile-command 'make lock'
ENV ?= dev
DIST ?= dist

help:                     ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 17

run: free-ports .venv/.run  ## the whole product on this machine (PORT=8000)
	@$(BIN)/python -m local
free-ports:
	@python=$$(requirements/interpreter) && "$$python" local/ports.py
tour: .venv/.run       ## the same journey without a browser, each step checked
	@$(BIN)/python -m local.tour

# Modules that are small and have unit tests of their own: their mutants take a minute on two cores.
MUTANTS_OF = edge/api edge/rate_limit $(addprefix adapters/,aws client_secrets dynamo epoch queues rescue)

test: .venv/.locked       ## the tests that answer within minutes
	$(PYTEST) -m 'not slow' -p no:schemathesis
test-all: .venv/.locked .venv-checkov/.locked examples/express/node_modules/.package-lock.json rehearse  ## the rest: rehearsal, builds, pairs of faults, kills, the simulated stores against moto at length, some mutants
	$(PYTEST) -m 'slow and not exhaustive'
	$(BIN)/python -m tests.verification.mutants $(MUTANTS_OF)
fault-matrix: .venv/.locked  ## every single fault and every pair of faults under every kind of rotation
	$(PYTEST) tests/verification/simulation/test_anomalies.py
interruptions: .venv/.locked  ## every request of the journey interrupted in every way, in Chromium
	$(PYTEST) tests/browser/test_interrupted.py
coverage: .venv/.locked   ## the unit tests again, refusing an untested branch in the flows and the pure modules
	$(PYTEST) tests/unit tests/unit/property --cov --cov-report=
	$(BIN)/coverage report --fail-under=100 --include='*/broker/flows/*,*/broker/*.py'
# cfn-lint also reads what SAM makes of the templates: conditions are decided by then (W2001), GRADUAL brings versions
# (W2530), and SAM puts the condition of a route around its path and again around its method (W1028).
check: .venv/.locked .venv-sam/.locked .venv-checkov/.locked  ## formatting, lint, types, floors, template
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/cfn-lint template.yaml stacks/*.yaml
	$(BIN)/python -m tools.expand .aws-sam/expanded
	$(BIN)/cfn-lint --ignore-checks W1028 W2001 W2530 -- .aws-sam/expanded/*.json
	$(SAM) validate
	$(SAM) validate --lint
	.venv-checkov/bin/checkov --config-file .checkov.yaml

model: .venv/.locked      ## every interleaving of the refresh protocol
	$(BIN)/python -m tests.verification.model
simulate: .venv/.locked   ## faults from many seeds (SEEDS=n), or one again (SEED=n)
	$(BIN)/python -m tests.verification.simulation
mutation-test: .venv/.locked  ## whether the tests notice each line of the broker that is changed (SAMPLE='modules')
	$(BIN)/python -m tests.verification.mutants $(SAMPLE)
crash-test: .venv/.locked  ## kill the refreshing process at random and count what is lost (KILLS=n)
	@$(BIN)/python -m tests.verification.kills
faults: .venv/.locked     ## play every fault and every error of AWS, and write the tables of what happens
	@$(BIN)/python -m tests.verification.faults
	@$(BIN)/python -m tests.verification.aws_errors
requirements: .venv/.locked  ## which test shows which requirement
	$(BIN)/python -m tools.requirements
least-privilege: .venv/.locked  ## take every part out of every role and see that it is missed
	@$(BIN)/python -m tests.verification.roles
fuzz: .venv/.locked       ## arbitrary bytes for every parser (MINUTES=n)
	@$(BIN)/python -m tests.verification.fuzz --minutes $${MINUTES:-5}
sbom: .venv/.locked       ## what is shipped, as CycloneDX
	@$(BIN)/python -m tools.sbom
bench: build clients/typescript/node_modules/.package-lock.json  ## how long things take
	$(BIN)/python -m tests.benchmarks.bench
cost: .venv/.locked       ## what a month costs
	$(BIN)/python -m tests.benchmarks.cost

# SAM and the layers look for Python 3.13 on PATH; here it is found wherever it is. Without it they build all the same.
build: .venv/.locked .venv-sam/.locked  ## what is deployed, in .aws-sam/build
	python313=$$(requirements/interpreter 3.13 3.13 2>/dev/null) || true; \
	PATH="$${python313:+$${python313%/*}:}$$PATH" PYTHON='$(CURDIR)/$(BIN)/python' $(SAM) build
rehearse: .venv/.locked .venv-sam/.locked .venv-rehearse/.locked  ## deploy and use it on a local AWS that others wrote (FAULTS=yes)
	@$(BIN)/python -m tools.rehearse $(if $(FAULTS),--faults)
express: examples/express/node_modules/.package-lock.json  ## what the Express product needs before it starts (examples/README.md)
packages: .venv/.locked clients/typescript/node_modules/.package-lock.json  ## both clients as they would be published, in DIST (dist)
	@mkdir -p $(DIST)
	@cd clients/python && $(CURDIR)/$(BIN)/python -m hatchling build --target wheel --directory $(abspath $(DIST))
	@cd clients/typescript && PATH="$(CURDIR)/.venv-node/bin:$$PATH" npm run --silent build && \
	    PATH="$(CURDIR)/.venv-node/bin:$$PATH" npm pack --silent --pack-destination $(abspath $(DIST))
publish: .venv/.run .venv-sam/.locked build  ## put template and code into a bucket for each region, for one-click stacks (BUCKET=name REGIONS="…")
	@$(BIN)/python -m tools.publish --bucket $(BUCKET) --region $(or $(REGIONS),eu-west-1)
deployed: .venv/.run   ## ask a deployed stack what only AWS can show (STACK=name)
	@$(BIN)/python -m tools.deployed --stack $(STACK)
whoami: .venv/.run     ## the AWS account that a deployment goes to
	@$(BIN)/python tools/whoami.py
asked: .venv/.run
	@$(BIN)/ninjaone-connect init --keep --env $(ENV)
deploy: whoami asked build  ## to your AWS account; asks what it needs the first time (ENV=dev, GRADUAL=yes or now)
	$(if $(GRADUAL),$(BIN)/python tools/gradual.py .aws-sam/build/template.yaml $(GRADUAL))
	SAM_CLI_TELEMETRY=0 .venv-sam/bin/sam deploy --config-env $(ENV)

lock: requirements/*.in layers/libraries/requirements.in  ## resolve the requirement files again (needs uv)
	$(LOCK) --python-version 3.13 --python-platform aarch64-manylinux_2_28 layers/libraries/requirements.in -o layers/libraries/requirements.txt
	$(LOCK) --python-version 3.11 --universal requirements/run.in -o requirements/run.txt
	$(LOCK) --python-version 3.11 --universal requirements/dev.in -o requirements/dev.txt
	$(LOCK) --python-version 3.11 --universal requirements/sam.in -o requirements/sam.txt
	$(LOCK) --python-version 3.11 --universal requirements/checkov.in -o requirements/checkov.txt
	$(LOCK) --python-version 3.11 --universal requirements/rehearse.in -o requirements/rehearse.txt
	$(LOCK) --python-version 3.11 --universal requirements/node.in -o requirements/node.txt
clean:                    ## forget everything that was made here
	rm -rf .venv .venv-* .aws-sam .coverage .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -prune -exec rm -rf {} +

# First what running needs, so that `make run` answers soon; then, for the tests and checks, what developing needs.
.venv/.run: requirements/run.txt
	@python=$$(requirements/interpreter) && "$$python" -m venv .venv
	@$(BIN)/python $(INSTALL) 'Installing what runs here into .venv' --no-compile requirements/run.txt
	@printf '../../../../%s\n' layers/broker/python clients/python/src cli/src emulator/src > \
	    $$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/broker.pth
	@printf '#!/bin/sh\nexec "$${0%%/*}/python" -m ninjaone_connect_cli "$$@"\n' > $(BIN)/ninjaone-connect && chmod +x $(BIN)/ninjaone-connect
	@touch $@
.venv/.locked: .venv/.run requirements/dev.txt
	@$(BIN)/python $(INSTALL) 'Installing what tests and checks need into .venv' requirements/dev.txt
	@touch $@
.venv-sam/.locked: requirements/sam.txt
	@python=$$(requirements/interpreter) && "$$python" -m venv .venv-sam
	@.venv-sam/bin/python $(INSTALL) 'Installing the SAM CLI into .venv-sam' requirements/sam.txt
	@touch $@
.venv-checkov/.locked: requirements/checkov.txt
	@python=$$(requirements/interpreter) && "$$python" -m venv .venv-checkov
	@.venv-checkov/bin/python $(INSTALL) 'Installing checkov into .venv-checkov' requirements/checkov.txt
	@touch $@
# Node and npm: this machine's own where they are new enough, else those of a locked package.
.venv-node/.locked: requirements/node.txt
	@python=$$(requirements/interpreter) && "$$python" -m venv --clear .venv-node
	@if [ "$$(node -p 'process.versions.node.split(".")[0] >= 20' 2>/dev/null)" = true ] && command -v npm >/dev/null; then \
	    ln -s "$$(command -v node)" "$$(command -v npm)" .venv-node/bin/; \
	else \
	    .venv-node/bin/python $(INSTALL) 'Installing Node into .venv-node' requirements/node.txt; \
	fi
	@touch $@
clients/typescript/node_modules/.package-lock.json: clients/typescript/package-lock.json .venv-node/.locked
	@echo 'Installing the locked packages of the TypeScript client (once)'
	@cd clients/typescript && PATH="$(CURDIR)/.venv-node/bin:$$PATH" npm ci --silent --ignore-scripts
	@touch $@
# The example takes a copy of the client, so it is installed again whenever the client changes.
examples/express/node_modules/.package-lock.json: examples/express/package-lock.json clients/typescript/node_modules/.package-lock.json \
    $(wildcard clients/typescript/src/*.ts)
	@echo 'Installing the locked packages of the Express example'
	@cd clients/typescript && PATH="$(CURDIR)/.venv-node/bin:$$PATH" npm run --silent build
	@cd examples/express && PATH="$(CURDIR)/.venv-node/bin:$$PATH" npm ci --silent --ignore-scripts
	@touch $@
# MiniStack runs the functions on its own interpreter: Lambda's Python 3.13 where there is one.
.venv-rehearse/.locked: requirements/rehearse.txt
	@python=$$(requirements/interpreter 3.13 3.13 2>/dev/null || requirements/interpreter) && "$$python" -m venv --clear .venv-rehearse
	@.venv-rehearse/bin/python $(INSTALL) 'Installing MiniStack into .venv-rehearse' requirements/rehearse.txt
	@touch $@

.PHONY: help run free-ports tour test test-all fault-matrix interruptions coverage check model simulate mutation-test crash-test faults requirements least-privilege \
	fuzz sbom bench cost build rehearse express packages publish deployed whoami asked deploy lock clean
