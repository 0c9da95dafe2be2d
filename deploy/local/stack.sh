#!/usr/bin/env bash
# PostgreSQL, Temporal and Kafka without containers, for root and for any other user.
#
#   stack.sh start [postgres|temporal|kafka ...]   fetch what is missing, start what is down, wait until it is ready
#   stack.sh stop                                  stop what this script started, last first
#   stack.sh status | logs | env                   what runs; the logs; a client's variables, as shell
#   stack.sh run NAME COMMAND...                   start a process under the same bookkeeping; the ports that the variables
#                                                  named in $NEEDS hold must be free
#   stack.sh signal NAME SIGNAL                    send it a signal
#   stack.sh end NAME                              stop it
#   stack.sh wait-http NAME URL SECONDS            wait until it answers
#
# TEMPORAL=postgres runs Temporal's official server on this PostgreSQL, instead of the dev server.
# State is in $STATE (.run), fetched tools in $TOOLS ($STATE/tools), which several stacks may share.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
export LC_ALL=C.UTF-8
STATE=${STATE:-$here/../../.run}
mkdir -p "$STATE/logs" "$STATE/pids"
STATE=$(cd "$STATE" && pwd)
TOOLS=${TOOLS:-$STATE/tools}
mkdir -p "$TOOLS"
TOOLS=$(cd "$TOOLS" && pwd)
VENV=$TOOLS/venv
KAFKA_LIBS=$TOOLS/kafka
: "${TEMPORAL_PORT:=7233}" "${TEMPORAL_UI_PORT:=8233}" "${TEMPORAL_HTTP_PORT:=7243}" "${TEMPORAL_METRICS_PORT:=9797}"
: "${TEMPORAL_HISTORY_PORT:=7234}" "${TEMPORAL_MATCHING_PORT:=7235}" "${TEMPORAL_WORKER_PORT:=7239}"
: "${TEMPORAL:=dev}" "${TEMPORAL_DATABASE:=temporal}"
TEMPORAL_SOURCE=$(cd "$here/../temporal" && pwd)
: "${POSTGRES_PORT:=5433}" "${KAFKA_PORT:=9092}" "${KAFKA_CONTROLLER_PORT:=9093}"
SERVICES=(postgres temporal kafka)
case $TEMPORAL in dev | postgres) ;; *) echo "TEMPORAL is '$TEMPORAL': choose dev (the default) or postgres" >&2 && exit 2 ;; esac
for part in process tools postgres temporal kafka; do
    # shellcheck source=/dev/null
    . "$here/$part.sh"
done

start() {
    local wanted=("$@") service
    if [ ${#wanted[@]} -eq 0 ]; then wanted=("${SERVICES[@]}"); fi
    lock
    prerequisites
    tools
    postgres_environment
    for service in "${wanted[@]}"; do "start_$service"; done
    for service in "${wanted[@]}"; do
        "await_$service"
        report "$service is ready ($(address "$service"), ${SECONDS} s)"
    done
}

# Allows one start or stop at a time. Started processes must not inherit the lock (`9>&-` in `launch`).
lock() {
    exec 9>"$STATE/.lock"
    if command -v flock >/dev/null; then flock -w 300 9 || die "another stack.sh holds $STATE/.lock"; fi
}

address() {
    case $1 in
    postgres) echo "127.0.0.1:$POSTGRES_PORT" ;;
    temporal) echo "127.0.0.1:$TEMPORAL_PORT, UI http://127.0.0.1:$TEMPORAL_UI_PORT" ;;
    kafka) echo "127.0.0.1:$KAFKA_PORT" ;;
    esac
}

stop() {
    lock
    local name
    # our processes first, newest first; then the services that they need
    for name in $(ls -t "$STATE/pids"); do
        case " ${SERVICES[*]} " in *" $name "*) ;; *) end "$name" ;; esac
    done
    end temporal
    end kafka
    end postgres INT   # a fast shutdown: does not wait for clients
}

status() {
    local name pid down=0
    for name in "${SERVICES[@]}" $(ls "$STATE/pids"); do
        case " ${seen:-} " in *" $name "*) continue ;; esac
        seen="${seen:-} $name"
        if pid=$(pid_of "$name"); then
            report "$name runs (pid $pid, $(($(ps -o rss= -p "$pid") / 1024)) MB) $(address "$name")"
        else
            report "$name is down"
            down=1
        fi
    done
    report "logs are in $STATE/logs"
    return $down
}

environment() {
    # nothing is fetched here: the tools may be missing
    postgres_environment
    cat <<X
export ORCHESTRATOR_DATABASE_URL=postgres://orchestrator@127.0.0.1:$POSTGRES_PORT/orchestrator
export ORCHESTRATOR_TEMPORAL_URL=http://127.0.0.1:$TEMPORAL_PORT
export ORCHESTRATOR_KAFKA_BROKERS=127.0.0.1:$KAFKA_PORT
export POSTGRES_BIN=$POSTGRES_BIN
export POSTGRES_SOCKETS=$POSTGRES_SOCKETS
X
}

run() {
    if pid_of "$1" >/dev/null; then return; fi
    # shellcheck disable=SC2086
    need_free ${NEEDS:-}
    launch "$@"
}

signal() {
    local pid
    pid=$(pid_of "$1") || die "$1 does not run"
    kill "-$2" "$pid"
}

wait_http() {
    WAIT_SECONDS=$3 ready "$1" curl --silent --fail --max-time 2 --output /dev/null "$2"
}

command=${1:-}
shift || true
case $command in
start) start "$@" ;;
stop) stop ;;
status) status ;;
logs) exec tail -n 50 -F "$STATE"/logs/*.log ;;
env) environment ;;
run) run "$@" ;;
signal) signal "$@" ;;
end) end "$@" ;;
wait-http) wait_http "$@" ;;
*)
    sed -n '2,14s/^# \{0,1\}//p' "$0" >&2
    exit 2
    ;;
esac
