# shellcheck shell=bash disable=SC2034,SC2154 # variables of those who source it
# Redis: append-only file, nothing evicted, a password.

redis_prepare() {
    mkdir "$1/data"
}

# redis_configure FOLDER: with what the topology added in FOLDER/more.
redis_configure() {
    if [[ ! -e $1/more ]]; then
        free_port >"$1/port"
    elif [[ -e $1/above && -e $1/redis.conf ]]; then
        # Somebody was faster, and nobody refers to this one yet.
        free_port "$(<"$1/above")" >"$1/port"
    fi
    (
        umask 077
        cat >"$1/redis.conf" <<CONF
bind 127.0.0.1
port $(<"$1/port")
requirepass $(<"$1/secret")
dir $1/data
appendonly yes
appendfsync everysec
maxmemory-policy noeviction
daemonize no
logfile ""
CONF
        cat "$1/more" 2>/dev/null >>"$1/redis.conf" || true
    )
    echo "exec redis-server '$1/redis.conf'" >"$1/run"
}

redis_answers() {
    local said
    said=$(redis_ask "$(<"$1/port")" "AUTH $(<"$1/secret")" PING)
    [[ $said == $'+OK\r\n+PONG\r' ]]
}

# redis_ask PORT COMMAND…: the first line of each answer; within 2 s each.
redis_ask() {
    local line fd command
    exec {fd}<>"/dev/tcp/127.0.0.1/$1" || return 1
    shift
    for command in "$@"; do
        printf '%s\r\n' "$command" >&"$fd"
        IFS= read -r -t 2 -u "$fd" line || break
        printf '%s\n' "$line"
    done
    exec {fd}>&-
}
