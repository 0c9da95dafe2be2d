# Bookkeeping of background processes: sourced by stack.sh. Only processes that are recorded here are ended.
# shellcheck shell=bash

report() { printf '%s\n' "$*"; }
die() { printf 'stack: %s\n' "$*" >&2; exit 1; }

# Prints a process's start time, so that a reused pid is not mistaken for ours.
birth_of() {
    if [ -r "/proc/$1/stat" ]; then
        sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | awk '{ print $20 }'
    else
        ps -o lstart= -p "$1" 2>/dev/null
    fi
}

# Prints the pid of a recorded process, if it still runs.
pid_of() {
    local pid birth
    [ -f "$STATE/pids/$1" ] || return 1
    { read -r pid && read -r birth; } <"$STATE/pids/$1" || return 1
    kill -0 "$pid" 2>/dev/null && [ "$(birth_of "$pid")" = "$birth" ] && echo "$pid"
}

# launch NAME COMMAND...: starts it in a separate process group; its output goes to the log.
launch() {
    local name=$1 pid
    shift
    set -m
    nohup "$@" </dev/null >>"$STATE/logs/$name.log" 2>&1 9>&- &
    pid=$!
    set +m
    disown "$pid" 2>/dev/null || true
    printf '%s\n%s\n' "$pid" "$(birth_of "$pid")" >"$STATE/pids/$name"
}

# ready NAME COMMAND...: waits until the command succeeds, while the process lives.
ready() {
    local name=$1 deadline=$((SECONDS + ${WAIT_SECONDS:-90}))
    shift
    until "$@" >/dev/null 2>&1; do
        if ! pid_of "$name" >/dev/null; then
            tail -20 "$STATE/logs/$name.log" >&2
            die "$name ended; its log is $STATE/logs/$name.log"
        fi
        [ $SECONDS -lt $deadline ] || die "$name is not ready after ${WAIT_SECONDS:-90} s; its log is $STATE/logs/$name.log"
        sleep 0.1
    done
}

# end NAME [SIGNAL]: sends the signal, waits 30 s, then sends KILL.
end() {
    local name=$1 signal=${2:-TERM} pid
    if ! pid=$(pid_of "$name"); then
        rm -f "$STATE/pids/$name"
        return 0
    fi
    kill "-$signal" "$pid"
    for _ in $(seq 300); do
        pid_of "$name" >/dev/null || break
        sleep 0.1
    done
    if pid_of "$name" >/dev/null; then
        report "$name (pid $pid) did not end in 30 s: killed"
        kill -KILL "$pid"
    fi
    rm -f "$STATE/pids/$name"
    report "$name stopped"
}

port_is_open() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# need_free VARIABLE...: the ports that these variables hold must be free.
need_free() {
    local variable
    for variable in "$@"; do
        if port_is_open "${!variable}"; then
            die "port ${!variable} is taken by another process: set $variable to a free one"
        fi
    done
}
