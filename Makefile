# Two commands: `make demo` and `make test`. Both set up what they need in .venv.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
OUT := build

.PHONY: help demo test test-slow test-llm test-airflow test-trainers lint schemas bench clean

help:
	@echo "make demo     build the quickstart corpus from phantoms and pydicom's own files"
	@echo "make test     lint, type-check and test"
	@echo "make test-slow  builds that are killed, robbed clusters, failing stores, a browser, whole real sources"
	@echo "make test-llm test with vLLM and Ray themselves, on the processor, in .venv-llm (Linux, Python 3.11)"
	@echo "make test-airflow test the DAGs with Airflow itself, in .venv-airflow (Python 3.11)"
	@echo "make test-trainers read a release with LLaMA-Factory, ms-swift, TRL, verl and VLMEvalKit, in .venv-trainers (Linux, Python 3.11)"
	@echo "make lint     ruff, mypy, import-linter"
	@echo "make schemas  write schemas/*.json anew from the code"
	@echo "make bench    measure works 1 to 5 and 7 beside their peers, the verifier, executors and plans (set CURATE_TEST_DATA)"
	@echo "make clean    remove what was built; .venv and the other environments stay"

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit("curate needs Python 3.11 or newer, found " + sys.version.split()[0] if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -qq --disable-pip-version-check --upgrade pip

.venv/.core: pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install -qq --disable-pip-version-check -c constraints.txt -e '.[expectations]'
	@touch $@

.venv/.dev: pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install -qq --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@ .venv/.core

.venv/.bench: pyproject.toml constraints.txt .venv/.dev
	$(BIN)/python -m pip install -qq --disable-pip-version-check -c constraints.txt -e '.[dev,bench]'
	@touch $@

$(OUT)/phantoms/truth.json: | .venv/.core
	$(BIN)/curate phantom $(OUT)/phantoms

demo: .venv/.core $(OUT)/phantoms/truth.json
	$(BIN)/curate build pipelines/quickstart.yaml --data $(OUT)/phantoms --out $(OUT)/quickstart
	$(BIN)/curate check $(OUT)/quickstart
	@echo
	@echo "Look at it:"
	@echo "  $(BIN)/curate query $(OUT)/quickstart \"SELECT task, list_last(messages).content AS answer FROM pairs USING SAMPLE 10\""
	@echo "  $(BIN)/curate rejects $(OUT)/quickstart"
	@echo "  $(BIN)/curate why $(OUT)/quickstart CT_small.dcm"

lint: .venv/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: .venv/.dev lint
	$(BIN)/python -m pytest -n 2 --dist worksteal -m "not slow and not crash"

test-slow: .venv/.dev
	$(BIN)/python -m pytest -n 2 --dist worksteal -m "slow or crash" --ignore tests/llm --ignore tests/airflow --ignore tests/trainers

test-llm:
	$(PYTHON) -m tests.llm.environment .venv-llm
	@if [ -e .venv-llm/.ready ]; then .venv-llm/bin/python -m pytest tests/llm; fi

test-airflow: .venv/.dev
	$(PYTHON) -m tests.airflow.environment .venv-airflow
	@if [ -e .venv-airflow/.ready ]; then CURATE_AIRFLOW=.venv-airflow $(BIN)/python -m pytest tests/airflow; fi

test-trainers: .venv/.dev
	$(PYTHON) -m tests.trainers.environment .venv-trainers
	@if [ -e .venv-trainers/.ready ]; then CURATE_TRAINERS=.venv-trainers $(BIN)/python -m pytest tests/trainers; fi

schemas: .venv/.dev
	$(BIN)/python -m curate.records

bench: .venv/.bench
	$(BIN)/python -m bench.work1_store
	$(BIN)/python -m bench.work2_resize
	$(BIN)/python -m bench.work3_dicom
	$(BIN)/python -m bench.work4_volume
	$(BIN)/python -m bench.work5_slides
	$(BIN)/python -m bench.work7_catalog
	$(BIN)/python -m bench.verify.run
	$(BIN)/python -m bench.verify.speed
	$(BIN)/python -m bench.executors overhead
	$(BIN)/python -m bench.executors speed
	$(BIN)/python -m bench.executors memory
	$(BIN)/python -m bench.scale_plan
	$(BIN)/python -m bench.scale_simulation

clean:
	rm -rf $(OUT)
