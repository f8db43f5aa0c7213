# `make help` lists the targets. VARIANT=gpu takes onnxruntime-gpu, in a virtual environment of its own.
SHELL   := /bin/bash
VARIANT ?= cpu
PYTHON  ?= python3
VENV    := $(if $(filter gpu,$(VARIANT)),.venv-gpu,.venv)
BIN     := $(VENV)/bin
TREE    := artifact benchmarks cli client deploy docs engine examples imaging scoring scripts service tests training

.DEFAULT_GOAL := help
.PHONY: help setup setup-dev serve test coverage page page-picture docs reference links examples check release-check lint types soak endure fuzz long openapi ray image deployment audit sbom bench bench-call bench-peers compare-triton bench-scoring bench-variants train proto lock clean

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# compat writes both folders into sys.path: a Python of Debian that runs inside Envoy reads no other way of finding them.
# What is installed is stamped with the lock file it came from, so a second set-up is a stat() call.
$(VENV)/.stamp-venv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "digits needs Python 3.11 or newer, and this is " + sys.version.split()[0])'
	$(PYTHON) -m venv --clear $(VENV)
	@touch $@

define install
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $(1)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --config-settings editable_mode=compat --editable ./client --editable .
	@touch $@
endef

$(VENV)/.stamp-$(VARIANT): requirements/$(VARIANT).txt pyproject.toml client/pyproject.toml | $(VENV)/.stamp-venv
	@echo "installing what serving needs into $(VENV) (a minute or so, once)"
	$(call install,requirements/$(VARIANT).txt)

$(VENV)/.stamp-dev: requirements/dev.txt pyproject.toml client/pyproject.toml | $(VENV)/.stamp-venv
	@echo "installing what training, tests and checks need into $(VENV) (a minute or two, once)"
	$(call install,requirements/dev.txt)
	@touch $(VENV)/.stamp-cpu

setup: $(VENV)/.stamp-$(VARIANT)  ## make .venv/ with what serving needs; quick when nothing changed

setup-dev: $(VENV)/.stamp-dev  ## the same with training, tests and checks

serve: setup  ## serve the models under models/ (settings: ARGS="--port 9001", or DIGITS_* in the environment)
	$(BIN)/digits serve $(ARGS)

test: setup-dev  ## the tests; what needs more than Python packages is skipped, and says so
	$(BIN)/python -m pytest -rs -n auto --dist worksteal --ignore tests/page $(ARGS)

coverage: setup-dev  ## which lines and branches the tests reach, also in processes that they start (half an hour)
	rm -rf .cache/coverage && mkdir -p .cache/coverage
	REAL_PROCESSES=1 $(BIN)/coverage run -m pytest -n auto --ignore tests/page $(ARGS)
	$(BIN)/coverage combine --quiet && $(BIN)/coverage report

page: setup-dev  ## the page in a real browser, on both fronts (some minutes; needs chromium on the PATH)
	REQUIRE_EXTRAS=1 $(BIN)/python -m pytest tests/page $(ARGS)

page-picture: setup-dev  ## take the picture of the page anew with which the README begins
	REQUIRE_EXTRAS=1 PAGE_PICTURE=1 $(BIN)/python -m pytest tests/page/test_picture.py -k grpcio

$(VENV)/.stamp-deployment: requirements/deployment.txt $(VENV)/.stamp-dev
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/deployment.txt
	@touch $@

docs: setup-dev  ## build the documentation into .cache/docs/; a warning is an error
	$(BIN)/sphinx-build --quiet --fresh-env --fail-on-warning --keep-going -d .cache/doctrees docs .cache/docs

reference: setup-dev  ## make docs/reference/ and docs/pictures/ from the code again
	$(BIN)/python -m docs.generate

links: setup-dev  ## look up every link of the documentation that leads elsewhere
	$(BIN)/sphinx-build --quiet --fail-on-warning --keep-going -b linkcheck -d .cache/doctrees docs .cache/links

examples: test  ## every command of README and docs, and every program of examples/; what has no tool chain here is skipped
	EXAMPLES=1 $(BIN)/python -m pytest -rs tests/documentation $(ARGS)
	$(MAKE) --no-print-directory links

release-check: setup-dev  ## tag, version and CHANGELOG agree
	$(BIN)/python -m scripts.check_release

lint: setup-dev  ## style, unused code, and who imports whom
	$(BIN)/ruff format --check $(TREE)
	$(BIN)/ruff check $(TREE)
	$(BIN)/lint-imports --no-cache --no-logo

types: setup-dev  ## static types
	$(BIN)/mypy

# grpcurl is a Go program, see https://github.com/fullstorydev/grpcurl
.cache/bin/grpcurl:
	@command -v go >/dev/null || { echo "make check needs Go, to install grpcurl with"; exit 1; }
	GOBIN=$(CURDIR)/.cache/bin go install github.com/fullstorydev/grpcurl/cmd/grpcurl@v1.9.3

check: lint types docs .cache/bin/grpcurl  ## all that must be green before a change lands; skips nothing
	PATH=$(CURDIR)/.cache/bin:$$PATH REQUIRE_EXTRAS=1 $(MAKE) --no-print-directory test

soak: setup-dev  ## models change under half a minute of full load
	SOAK_SECONDS=30 $(BIN)/python -m pytest tests/end_to_end/models/test_changes_under_load.py $(ARGS)

endure: setup-dev  ## ten minutes of full load on each front
	ENDURE_SECONDS=600 $(BIN)/python -m pytest -s tests/end_to_end/process/test_endurance.py $(ARGS)

fuzz: setup-dev  ## 300,000 mutated frames, headers, messages and requests thrown at each front; FUZZ_COUNT=n for fewer
	FUZZ_COUNT=$${FUZZ_COUNT:-300000} $(BIN)/python -m pytest -s tests/fuzz $(ARGS)

long: setup-dev  ## batch jobs killed twenty times in each format, under a server killed five times, in large files
	KILL_COUNT=20 RESTART_COUNT=5 $(BIN)/python -m pytest tests/unit/scoring -n 2 $(ARGS)

ray: setup-dev  ## batch jobs on Ray, which is installed into an environment of its own (five minutes)
	RAY=1 $(BIN)/python -m pytest tests/unit/scoring/whole_jobs/test_ray.py $(ARGS)

image:  ## build the image digits:cpu, or with VARIANT=gpu digits:gpu
	docker build --build-arg VARIANT=$(VARIANT) $(if $(BASE_IMAGE),--build-arg BASE=$(BASE_IMAGE)) --build-arg REVISION=$$(git rev-parse HEAD) -t digits:$(VARIANT) .

deployment: $(VENV)/.stamp-deployment  ## tests of image, docker-compose, Prometheus and Kubernetes; needs Docker (minutes)
	REQUIRE_EXTRAS=1 $(BIN)/python -m pytest -s tests/deployment $(ARGS)

audit: $(VENV)/.stamp-deployment  ## known vulnerabilities in what the lock files name; what cannot be looked up fails too
	for variant in cpu gpu; do $(BIN)/pip-audit --strict --disable-pip --require-hashes -r requirements/$$variant.txt || exit; done

sbom: image  ## what the image is made of, as CycloneDX: sbom.cdx.json
	docker run --rm --entrypoint cat digits:$(VARIANT) /opt/digits/share/sbom.cdx.json >sbom.cdx.json

bench: setup-dev  ## measure speed and memory; results go to benchmarks/ (shorter: ARGS="--rounds 1 --seconds 0.3")
	$(BIN)/python -m benchmarks $(ARGS)

bench-call: setup-dev  ## what one call costs its server, by thread, alone and at half load (two minutes)
	$(BIN)/python -m benchmarks.call_costs $(ARGS)

bench-peers: setup-dev  ## the same of other model servers each in an environment of its own (half an hour; in parts: ARGS="--part rates --rounds 1")
	$(BIN)/python -m benchmarks.peers $(ARGS)

compare-triton: setup-dev  ## the same two hundred requests over REST to Triton and to this server (two minutes)
	$(BIN)/python -m benchmarks.peers.rest

bench-scoring: setup-dev  ## the same of batch jobs, from file to file (8 GB of inputs; shorter: ARGS="--rows 500000 --rounds 1")
	$(BIN)/python -m benchmarks.scoring $(ARGS)

bench-variants: setup-dev  ## the same of int8 and float16 beside float32 (shorter: ARGS="--rounds 1 --seconds 0.2")
	$(BIN)/python -m benchmarks.variants $(ARGS)

train: setup-dev  ## train every recipe again and export it (some hours; goes on where it was)
	for recipe in digits-8x8 mnist-16x16 mnist-256x128 mnist-large mnist-committee; do $(BIN)/digits train $$recipe $(ARGS) || exit; done

proto: setup-dev  ## generate client/digits_protocol/ and openapi.json from proto/ again
	$(BIN)/python -m scripts.generate_protocol
	$(BIN)/python -m scripts.generate_openapi

openapi: setup-dev  ## requests that schemathesis makes of openapi.json, against a server (a minute)
	OPENAPI=1 $(BIN)/python -m pytest -s tests/end_to_end/http/test_openapi.py $(ARGS)

lock: $(VENV)/.stamp-venv  ## resolve requirements/*.txt again
	$(BIN)/python -m pip install --quiet uv
	for variant in dev cpu gpu score deployment; do \
	  extras="--extra envoy --extra otel --extra $$variant"; \
	  case $$variant in dev | deployment) extras="--extra $$variant" ;; score) extras="--extra score --extra cpu" ;; esac; \
	  echo "setuptools>=80" | $(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header \
	    --python-version 3.11 $$extras $$([ $$variant = dev ] || echo "--constraint requirements/dev.txt") \
	    pyproject.toml - --output-file requirements/$$variant.txt || exit; \
	done

clean:  ## remove what the targets made
	rm -rf .venv .venv-gpu build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache
