# Every target prepares what it needs: `make serve` and `make test` work in a fresh clone.

WORKERS ?= 2

BIN := .venv/bin
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Isolated builds (hatchling) are held to the pins too: pip 25.3 and newer read the second name, older ones the first.
export PIP_CONSTRAINT := constraints.txt
export PIP_BUILD_CONSTRAINT := constraints.txt
PIP_INSTALL := $(BIN)/python -m pip install --quiet --quiet

# A flag for a variable that was given to make; HOST is set in some shells' environments and means something else there.
flag = $(if $(filter command,$(origin $(2))),--$(1) $($(2)))

FIND_PYTHON := for python in python3 python3.13 python3.12 python3.11 python; do \
	  if $$python -c 'import ensurepip, sys, venv; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null; \
	  then echo $$python; break; fi; done
NO_PYTHON := Python 3.11, 3.12 or 3.13 with its venv module is needed, and none was found on the PATH \
	(on Debian: apt install python3 python3-venv). PYTHON=/path/to/python says where one is.

.PHONY: help
help: ## Say what the targets are.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-10s %s\n", $$1, $$2}' Makefile

.PHONY: serve
serve: .venv/.serve ## Start the server: make serve, make serve PORT=9000 GRPC_PORT=9001 HOST=0.0.0.0 DEVICE=cpu
	@exec $(BIN)/augserve serve $(call flag,host,HOST) $(call flag,port,PORT) $(call flag,grpc-port,GRPC_PORT) $(call flag,device,DEVICE)

.PHONY: test
test: .venv/.develop ## Run everything that CI checks.
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/hadolint Dockerfile
	$(BIN)/python -m scripts.generate --check
	$(BIN)/pytest --numprocesses $(WORKERS)

.PHONY: fuzz
fuzz: .venv/.develop ## Fuzz at length: make fuzz MINUTES=60, make fuzz TARGETS="JPEG pipelines"; what is found is in out/fuzz.
	$(BIN)/python -m scripts.fuzz $(call flag,minutes,MINUTES) $(TARGETS)

.PHONY: test-gpu
test-gpu: .venv/.develop ## Compare CUDA with the CPU, where there is a device.
	$(BIN)/pytest -m gpu tests/gpu

.PHONY: bench
bench: .venv/.bench ## Measure speed side by side with other libraries: on the screen, as CSV and JSON in out.
	$(BIN)/python -m benchmarks

.PHONY: bench-gpu
bench-gpu: .venv/.bench ## Measure equality and speed on CUDA, where there is a device.
	$(BIN)/python -m benchmarks.gpu --json out/gpu.json --csv out/gpu.csv

.PHONY: bench-page
bench-page: .venv/.bench ## Measure everything on the CPU, memory too (half an hour), and write docs/performance.md.
	$(BIN)/python -m benchmarks --minutes 10 --json benchmarks/results/cpu.json
	$(BIN)/python -m benchmarks.report

.PHONY: docs
docs: .venv/.develop ## Write the generated files: exports, docs/transforms.md, docs/parity.md (a minute), schema, settings.
	$(BIN)/python -m scripts.generate
	$(BIN)/python -m scripts.parity_page

.PHONY: format
format: .venv/.develop ## Format the code and mend what the linter can.
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

.PHONY: clean
clean: ## Remove everything that was made here, .venv included.
	rm -rf .venv build dist out .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.PHONY: pins
pins: ## Pin every version anew for all Pythons, keeping what constraints.txt has where it can; needs uv.
	printf 'hatchling\neditables\ntorchvision\n' | uv pip compile --quiet --universal --python-version 3.11 \
	  --extra dev --extra cuda --no-annotate --custom-compile-command "make pins" --output-file constraints.txt \
	  pyproject.toml -

.venv/bin/python:
	@python="$${PYTHON:-$$($(FIND_PYTHON))}"; \
	if [ -z "$$python" ]; then echo "$(NO_PYTHON)" >&2; exit 1; fi; \
	echo "making .venv with $$($$python --version)"; \
	$$python -m venv .venv || { rm -rf .venv; exit 1; }

.venv/.serve: pyproject.toml constraints.txt | .venv/bin/python
	@echo "installing the server into .venv, once; this takes minutes where torch has to be downloaded"
	@$(PIP_INSTALL) --editable '.[server]'
	@touch $@

.venv/.develop: pyproject.toml constraints.txt | .venv/bin/python
	@echo "installing the server and what its tests need into .venv, once; this takes minutes where torch has to be downloaded"
	@$(PIP_INSTALL) --editable '.[dev]'
	@$(PIP_INSTALL) --no-deps torchvision  # the tests' oracle
	@touch .venv/.serve $@

.venv/.bench: pyproject.toml constraints.txt | .venv/.develop
	@echo "installing the libraries that speed is compared with into .venv, once"
	@$(PIP_INSTALL) --editable '.[dev,bench]'
	@touch $@
