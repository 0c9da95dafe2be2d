#!/usr/bin/env bash
# Checks that a change must pass before its tests are run.
set -euo pipefail
cd "$(dirname "$0")/../.."
typos_version=1.52.0
deny_version=0.20.2
machete_version=0.9.2
tools=${TOOLS:-$PWD/.run/tools}

step() { printf '\n== %s\n' "$*"; }

step format
cargo fmt --all --check

step words
tests/words.sh || {
    echo "'tests/words.sh --list' shows each place" >&2
    exit 1
}

step one folder for a gateway
tests/gateway-diff.sh

step generated files
deploy/local/generate.sh
git add --intent-to-add .sqlx schemas/json
git diff --exit-code -- .sqlx schemas/json || {
    echo "generated files are not up to date: run 'make generate' and commit the result" >&2
    exit 1
}

step spelling
# the folder of Python tools exists: the step before needed PostgreSQL
if ! "$tools/venv/bin/typos" --version 2>/dev/null | grep -q " $typos_version$"; then
    "$tools/venv/bin/pip" install --quiet --disable-pip-version-check "typos==$typos_version"
fi
"$tools/venv/bin/typos"

step clippy
cargo clippy --workspace --all-targets --quiet -- -D warnings

step documentation
RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --quiet

step licenses and sources
if ! "$tools/bin/cargo-deny" --version 2>/dev/null | grep -q " $deny_version$"; then
    cargo install --quiet --locked --debug --no-default-features --version "$deny_version" --root "$tools" cargo-deny
fi
# advisories are in an external Git repository; run `cargo deny check advisories` where it is reachable
"$tools/bin/cargo-deny" --log-level error check licenses bans sources

step unused dependencies
if ! "$tools/bin/cargo-machete" --version 2>/dev/null | grep -q "^$machete_version$"; then
    cargo install --quiet --locked --debug --version "$machete_version" --root "$tools" cargo-machete
fi
"$tools/bin/cargo-machete"

step paths and headings in documents
tests/links.sh

step shell scripts
for script in deploy/local/*.sh tests/*.sh tests/*/*.sh .ci/run; do bash -n "$script"; done

if command -v gofmt >/dev/null; then
    step Go
    [ -z "$(gofmt -l deploy/temporal)" ] || { gofmt -d deploy/temporal && exit 1; }
fi
