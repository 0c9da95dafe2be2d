# What to type. `make` alone lists it.

SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help up down status logs demo test verify check generate bench chaos fmt

help: ## List the commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

up: ## Start everything on this machine, run the demo, print the addresses
	@deploy/local/up.sh

down: ## Stop what `up` started; its data stays in .run
	@deploy/local/stack.sh stop

status: ## Say what runs, and where
	@deploy/local/stack.sh status

logs: ## Follow the logs
	@deploy/local/stack.sh logs

demo: ## Charge, pay, fail over, recover: with what `up` started
	@deploy/local/demo.sh

test: ## Test everything, on ports and state of its own, beside a running `up`
	@tests/run.sh
	@tests/chaos/run.sh --short

verify: ## Simulate 20,000 runs with faults and crashes, from seeds
	@tests/simulation/run.sh --seeds $(or $(SEEDS),1..20001)

check: ## Format, words, spelling, lint, documentation, licenses, generated files
	@deploy/local/check.sh

generate: ## Rewrite the generated files: .sqlx, schemas/json
	@deploy/local/generate.sh

bench: ## Measure the stack: release build, open and closed loop
	@tests/load/run.sh

chaos: ## Kill each part under load, then count
	@tests/chaos/run.sh

fmt: ## Format
	@cargo fmt --all
