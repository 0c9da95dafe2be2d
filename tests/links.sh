#!/usr/bin/env bash
# Fails if a document names a path of this repository or a heading that does not exist: `tests/links.sh`. Checks paths in backticks or links
# that begin with a top-level folder; `{a,b}` and `*` are expanded. Checks headings cited as `docs/….md#heading` in documents and in code.
set -euo pipefail
cd "$(dirname "$0")/.."
folders='(activities|api|deploy|docs|openapi|schemas|tests|workflows)'
wrong=0
complain() {
    echo "$1" >&2
    wrong=$((wrong + 1))
}

# Prints the headings of a document in the form that links use.
headings() {
    sed -n '/^```/,/^```/d; s/^#\{1,6\} //p' "$1" | tr '[:upper:]' '[:lower:]' | sed 's/[^a-z0-9 _-]//g; s/ /-/g'
}

check_path() { # DOCUMENT PATH
    local document=$1 path=$2 found
    # a name in capitals is a placeholder (`src/NAME/`); a name in braces is a parameter of a URL
    if grep -qE '/[A-Z_]+/|/NAME|\{[a-z_]+\}' <<<"$path"; then return; fi
    # `eval` is safe: the pattern of the search allows only braces and stars as special characters
    for found in $(eval "echo $path"); do
        # relative to the top folder, or to the document's own folder
        compgen -G "${found%/}" >/dev/null || compgen -G "$(dirname "$document")/${found%/}" >/dev/null ||
            complain "$document: $found does not exist"
    done
}

documents=$(git ls-files --cached --others --exclude-standard '*.md')
for document in $documents; do
    while read -r path; do check_path "$document" "$path"; done < <(
        grep -oE "[\`(]$folders/[A-Za-z0-9_./{},*-]*[A-Za-z0-9_/}*]" "$document" | cut -c2- | sort -u || true
    )
    # links relative to the document
    while read -r path; do
        [ -e "$(dirname "$document")/${path%%#*}" ] || complain "$document: $path does not exist"
    done < <(grep -oE '\]\([A-Za-z0-9_./-]+(#[a-z0-9-]+)?\)' "$document" | sed 's/^](//; s/)$//' | sort -u || true)
    while read -r heading; do
        headings "$document" | grep -qxF "$heading" || complain "$document: #$heading does not exist"
    done < <(grep -oE '\]\(#[a-z0-9-]+\)' "$document" | sed 's/^](#//; s/)$//' | sort -u || true)
done

while read -r cited; do
    document=${cited%%#*} heading=${cited#*#}
    if ! [ -e "$document" ]; then
        complain "$document is cited and does not exist"
    elif ! headings "$document" | grep -qxF "$heading"; then
        complain "$cited is cited and does not exist"
    fi
done < <(git grep -hoE --untracked 'docs/[A-Za-z/]+\.md#[a-z0-9-]+' | sort -u)

[ $wrong -eq 0 ] || exit 1
