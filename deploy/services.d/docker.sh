# shellcheck shell=bash disable=SC2034,SC2154 # variables of those who source it
# Containers by Docker Compose, one project per start.

compose_words() {
    if docker compose version >/dev/null 2>&1; then
        echo docker compose
    elif command -v docker-compose >/dev/null; then
        echo docker-compose
    else
        return 1
    fi
}

# The Redis topologies announce their addresses to each other, which needs processes.
docker_wanted() {
    [[ $flavour != packages && $topology == all ]] && docker_answers && compose_words >/dev/null
}

docker_answers() {
    local limit=()
    ! command -v timeout >/dev/null || limit=(timeout 10)
    "${limit[@]}" docker info >/dev/null 2>&1
}

# compose DIR WORD…
compose() {
    local words
    read -ra words <<<"$(compose_words)"
    "${words[@]}" --project-name "$(<"$1/project")" --env-file "$1/compose.env" \
        --file "$here/services.compose.yaml" "${@:2}" </dev/null
}

# docker_up: creates the containers of $services; fails when Docker cannot, after it said why.
docker_up() {
    local try
    echo "moim-services-$(random_hex)" >"$dir/project"
    for try in 1 2 3 4 5; do
        docker_ports
        say "starts containers (try $try)"
        if compose "$dir" up --detach "${services[@]}" >"$dir/compose.log" 2>&1; then return; fi
        grep -qiE 'already (allocated|in use)' "$dir/compose.log" || break
    done
    tail -n 20 "$dir/compose.log" >&2
    [[ $flavour != docker ]] || fail 3 "Docker cannot start the services"
    say "Docker cannot start the services; takes processes"
    docker_down "$dir"
    rm "$dir/compose.env"
    return 1
}

# Chosen here: a port that Docker gives would be another one after a restart.
docker_ports() {
    local service port
    echo "secret=$secret" >"$dir/compose.env"
    for service in redis rabbitmq postgres; do
        port=$(free_port)
        echo "${service}_port=$port" >>"$dir/compose.env"
        if [[ -d $dir/$service ]]; then echo "$port" >"$dir/$service/port"; fi
    done
}

# docker_ready FOLDER: waits for its service.
docker_ready() {
    if await "$1"; then
        say "${1##*/} answers on port $(<"$1/port")"
    else
        compose "${1%/*}" logs --tail 30 "${1##*/}" >"$1/log" 2>&1 || true
        fail_with_log "$1" "did not come up"
    fi
}

docker_down() {
    compose "$1" down --volumes --remove-orphans --timeout 0 >"$1/compose.log" 2>&1 ||
        tail -n 5 "$1/compose.log" >&2
}

# docker_ctl VERB SERVICE
docker_ctl() {
    local verb=$1
    if [[ $verb == resume ]]; then verb=unpause; fi
    compose "$dir" "$verb" "$2" >&2
    case $1 in start | restart | resume) docker_ready "$dir/$2" ;; esac
}
