# shellcheck shell=bash disable=SC2034,SC2154 # variables of those who source it
# Redis as several processes: a master with its replica and sentinels, or a cluster.

plan_redis_sentinel() {
    local number
    for number in 1 2; do
        free_port >"$dir/redis-$number/port"
        cat >"$dir/redis-$number/more" <<CONF
masterauth $secret
replica-announce-ip 127.0.0.1
repl-diskless-sync-delay 0
CONF
    done
    echo "replicaof 127.0.0.1 $(<"$dir/redis-1/port")" >>"$dir/redis-2/more"
    for number in 1 2 3; do free_port >"$dir/sentinel-$number/port"; done
}

# Clients log in to the Redis with the password of the URL, and to the sentinels without.
url_redis_sentinel() {
    echo "redis+sentinel://:$secret@$(addresses "$dir"/sentinel-*)/moim"
}

# Ready when every sentinel knows the replica and the two others.
join_redis_sentinel() {
    local number port until=$((SECONDS + 30)) known
    for number in 1 2 3; do
        port=$(<"$dir/sentinel-$number/port")
        while :; do
            known=$(redis-cli -p "$port" sentinel master moim 2>/dev/null | paste -sd ' ')
            [[ " $known " != *" num-slaves 1 num-other-sentinels 2 "* ]] || break
            waiting "$until" "the sentinels do not find each other"
        done
    done
    until [[ $(redis_cli 2 info replication) == *master_link_status:up* ]]; do
        waiting "$until" "the replica does not reach its master"
    done
}

sentinel_prepare() {
    mkdir "$1/data"
}

sentinel_configure() {
    cat >"$1/sentinel.conf" <<CONF
bind 127.0.0.1
port $(<"$1/port")
dir $1/data
daemonize no
logfile ""
sentinel monitor moim 127.0.0.1 $(<"${1%/*}/redis-1/port") 2
sentinel auth-pass moim $(<"$1/secret")
sentinel down-after-milliseconds moim 1500
sentinel failover-timeout moim 6000
CONF
    chmod 600 "$1/sentinel.conf"
    echo "exec redis-server '$1/sentinel.conf' --sentinel" >"$1/run"
}

sentinel_answers() {
    [[ $(redis_ask "$(<"$1/port")" PING) == $'+PONG\r' ]]
}

plan_redis_cluster() {
    local number
    for number in 1 2 3; do
        echo 10000 >"$dir/redis-$number/above"
        free_port 10000 >"$dir/redis-$number/port"
        cat >"$dir/redis-$number/more" <<CONF
cluster-enabled yes
cluster-config-file nodes.conf
cluster-node-timeout 2000
cluster-announce-ip 127.0.0.1
CONF
    done
}

url_redis_cluster() {
    echo "redis+cluster://:$secret@$(addresses "$dir"/redis-*)"
}

join_redis_cluster() {
    local number until=$((SECONDS + 30)) nodes
    IFS=, read -ra nodes <<<"$(addresses "$dir"/redis-*)"
    REDISCLI_AUTH=$secret redis-cli --cluster create "${nodes[@]}" --cluster-yes >"$dir/log" 2>&1 ||
        { tail -n 20 "$dir/log" >&2 && fail 3 "the cluster could not be created"; }
    for number in 1 2 3; do
        until [[ $(redis_cli "$number" cluster info) == *cluster_state:ok*cluster_known_nodes:3* ]]; do
            waiting "$until" "the cluster does not come together"
        done
    done
}

# redis_cli NUMBER COMMAND…
redis_cli() {
    local folder=$dir/redis-$1
    shift
    REDISCLI_AUTH=$secret timeout 5 redis-cli -p "$(<"$folder/port")" "$@" 2>/dev/null || true
}

# waiting UNTIL WHAT: a moment, while those live who want it and there is time.
waiting() {
    owners_live || exit 0
    ((SECONDS < $1)) || fail 3 "$2"
    sleep 0.1
}

# addresses FOLDER…
addresses() {
    local folder list=
    for folder in "$@"; do list+=,127.0.0.1:$(<"$folder/port"); done
    echo "${list#,}"
}
