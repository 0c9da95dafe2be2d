#!/usr/bin/env bash
# Runs the seeded simulation.
#
#   run.sh --seeds FROM..TO        seeds FROM to TO - 1, in one process; one seed with `--trace` shows its events
#   JOBS=4 run.sh --seeds 1..20001 the same in 4 processes, in ranges of $RANGE seeds (200), each on a database of its own
#
# RELEASE=1 runs a release build. With JOBS, each finished range is appended to $SUMMARY (.test/simulation/summary): range, runs, charges,
# runs with violations, seconds, commit and checksum of the program. Ranges that this program passed already are skipped, so that an interrupted run is resumed by the
# same command. Further arguments are passed to each process.
set -euo pipefail
cd "$(dirname "$0")/../.."
. deploy/local/test-services.sh postgres
selected=(-p tests --bin simulation) folder=debug
[ -z "${RELEASE:-}" ] || { selected+=(--release) && folder=release; }
if [ -z "${SIMULATION:-}" ]; then
    cargo build --quiet "${selected[@]}"
    SIMULATION=${CARGO_TARGET_DIR:-target}/$folder/simulation
fi
[ -n "${JOBS:-}" ] || exec "$SIMULATION" "$@"

seeds='' arguments=()
while [ $# -gt 0 ]; do
    case $1 in
    --seeds) seeds=$2 && shift 2 ;;
    *) arguments+=("$1") && shift ;;
    esac
done
[[ $seeds =~ ^([0-9]+)\.\.([0-9]+)$ ]] || { echo "JOBS needs --seeds FROM..TO" >&2; exit 2; }
from=${BASH_REMATCH[1]} to=${BASH_REMATCH[2]} range=${RANGE:-200}
work=.test/simulation
mkdir -p "$work"
SUMMARY=${SUMMARY:-$work/summary} COMMIT=$(git describe --always --dirty 2>/dev/null || echo none)
# with the program's checksum: a changed tree passes nothing on behalf of another
COMMIT+=-$(cksum <"$SIMULATION" | cut -d ' ' -f 1)
export SIMULATION SUMMARY COMMIT work
touch "$SUMMARY"

# one_range FROM..TO [ARGUMENT...]: runs a range and appends its summary line.
one_range() {
    local seeds=$1 log line runs charges violations seconds
    shift
    log=$work/${seeds/../-}.log
    "$SIMULATION" --seeds "$seeds" "$@" >"$log" 2>&1 || true
    line=$(grep ' repeated, ' "$log" | tail -1 || true)
    if [ -z "$line" ]; then
        # it was interrupted, or the simulation itself failed: the range is not done
        printf '%s did not end:\n' "$seeds" && tail -3 "$log"
        return 1
    fi
    read -r runs _ charges _ violations _ _ _ _ seconds _ <<<"$line"
    printf '%s\t%s\t%s\t%s\t%s\t%s\n' "$seeds" "$runs" "$charges" "$violations" "$seconds" "$COMMIT" >>"$SUMMARY"
    printf '%s: %s runs, %s charges, %s with violations, %s s\n' "$seeds" "$runs" "$charges" "$violations" "$seconds"
    grep -E '^seed |^  invariant ' "$log" || true
}
export -f one_range

ranges=()
for ((first = from; first < to; first += range)); do
    last=$((first + range < to ? first + range : to))
    awk -F '\t' -v seeds="$first..$last" -v commit="$COMMIT" \
        '$1 == seeds && $4 == 0 && $6 == commit { passed = 1 } END { exit !passed }' "$SUMMARY" || ranges+=("$first..$last")
done
echo "${#ranges[@]} ranges of $range seeds, $JOBS at a time"
failed=0
if [ ${#ranges[@]} -gt 0 ]; then
    printf '%s\n' "${ranges[@]}" | xargs -P "$JOBS" -I {} bash -c 'one_range "$@"' _ {} ${arguments[@]+"${arguments[@]}"} || failed=1
fi

# the last line of each range of this commit
awk -F '\t' -v commit="$COMMIT" -v from="$from" -v to="$to" '
    { split($1, ends, /\.\./) }
    $6 == commit && ends[1] + 0 >= from + 0 && ends[2] + 0 <= to + 0 { runs[$1] = $2; charges[$1] = $3; bad[$1] = $4; seconds[$1] = $5 }
    END {
        for (r in runs) { n += runs[r]; c += charges[r]; b += bad[r]; s += seconds[r] }
        printf "%d runs, %d charges, %d with violations, %d s of all processes\n", n, c, b, s
        exit b > 0
    }' "$SUMMARY" || failed=1
# checks of each invariant, of all ranges that ran now
for seeds in ${ranges[@]+"${ranges[@]}"}; do grep -hE '^ *[0-9]+  .*: [0-9]+$' "$work/${seeds/../-}.log" || true; done |
    awk '{ n = $NF; sub(/: [0-9]+$/, ""); sum[$0] += n } END { for (name in sum) print name ": " sum[name] }' | sort
exit $failed
