# shellcheck shell=bash disable=SC2034,SC2154 # variables of those who source it
# Postgres: durable as by default, reached over TCP with a password only.

# The words before a command that runs as the user `postgres`, since Postgres refuses root.
postgres_user() {
    ((EUID)) || echo "setpriv --reuid postgres --regid postgres --clear-groups --"
}

postgres_prepare() {
    local bin user
    bin=$(postgres_binaries) user=$(postgres_user)
    mkdir -m 700 "$1/data"
    ((EUID)) || chown postgres: "$1/data"
    cd "$1/data" || return
    # shellcheck disable=SC2086 # words
    $user "$bin/initdb" --pgdata "$1/data" --username postgres --encoding UTF8 --locale C \
        --auth scram-sha-256 --auth-local reject --no-sync
    # shellcheck disable=SC2086
    $user "$bin/postgres" --single -D "$1/data" postgres <<SQL
CREATE ROLE moim LOGIN CREATEDB PASSWORD '$(<"$1/secret")'
CREATE DATABASE moim OWNER moim
SQL
}

# Memory of queries in the data folder: what shm_open gives would stay behind after a SIGKILL.
postgres_configure() {
    free_port >"$1/port"
    echo INT >"$1/signal" # "fast": does not wait for its clients
    cat >"$1/run" <<RUN
cd '$1/data'
exec $(postgres_user) '$(postgres_binaries)/postgres' -D '$1/data' -p $(<"$1/port") \\
    -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c max_connections=300 \\
    -c dynamic_shared_memory_type=mmap
RUN
}

postgres_answers() {
    if [[ -e ${1%/*}/compose.env ]]; then
        compose "${1%/*}" exec -T postgres psql -h 127.0.0.1 -U moim -d moim -c 'select 1' >/dev/null
        return
    fi
    PGCONNECT_TIMEOUT=2 timeout 3 "$(postgres_binaries)/psql" --no-psqlrc \
        --dbname "$(url_of "$1")" --command 'select 1' </dev/null >/dev/null
}

# An immediate shutdown gives its shared memory back, a SIGKILL does not.
postgres_end() {
    local pid
    if pid=$(pid_of "$1"); then
        kill -QUIT "$pid"
        signal_family CONT "$1" >/dev/null
        gone 5 "$pid" || true
    fi
    signal_family KILL "$1" >/dev/null
    postgres_release "$1"
}

# What a killed Postgres left: its segment, and a lock that holds as long as nobody has waited for
# the dead process, which may be long in a container.
postgres_release() {
    local lock=$1/data/postmaster.pid segment
    [[ -e $lock ]] || return 0
    segment=$(sed -n 7p "$lock" | awk '{ print $2 }')
    [[ -z $segment ]] || ipcrm -m "$segment" 2>/dev/null || true
    rm -f "$lock"
}
