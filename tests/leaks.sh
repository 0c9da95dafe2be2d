#!/usr/bin/env bash
# Fails if a log contains personal data or credentials that the tests planted: `tests/leaks.sh LOG...`.
set -euo pipefail
if grep -nE 'Zzyzx|52998224725|529\.982\.247-25|quiteria\.|Client_Secret_|sk_test_|aact_hmlg_|whsec_|Bearer [^ ]' "$@" | head -5 | grep .; then
    echo "the log holds personal data or credentials (above)" >&2
    exit 1
fi
