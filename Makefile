# Commands of the project. `make` alone lists them.

SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help up down status logs demo test verify check generate bench chaos fmt

help: ## List the commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

up: ## Start everything on this machine, run the demo, print the addresses (TEMPORAL=postgres: Temporal's own server)
	@deploy/local/up.sh

down: ## Stop the processes that `up` started; their data stays in .run
	@deploy/local/stack.sh stop

status: ## Print what runs, with addresses
	@deploy/local/stack.sh status

logs: ## Follow the logs
	@deploy/local/stack.sh logs

demo: ## Charge, pay, fail over, recover: on the stack that `up` started
	@deploy/local/demo.sh

test: ## Test everything, with separate ports and state, beside a running `up`
	@tests/run.sh
	@tests/chaos/run.sh --short

verify: ## Simulate 20,000 runs with faults and crashes, from seeds; the same command resumes it
	@RELEASE=1 JOBS=$(or $(JOBS),2) tests/simulation/run.sh --seeds $(or $(SEEDS),1..20001)

check: ## Format, words, spelling, lint, documentation, licenses, generated files
	@deploy/local/check.sh

generate: ## Rewrite the generated files: .sqlx, schemas/json
	@deploy/local/generate.sh

bench: ## Measure the stack: release build, open and closed loop (TEMPORAL=postgres: Temporal's own server)
	@tests/load/run.sh

chaos: ## Kill each part under load, then check charges, events and messages
	@tests/chaos/run.sh

fmt: ## Format
	@cargo fmt --all
