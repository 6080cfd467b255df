# shellcheck shell=bash disable=SC2034,SC2154 # variables of those who source it
# Servers and workers: each in a folder, as deploy/services has its services.

# node NAME KIND BINARY OFFSET: starts it in the background.
node() {
    local folder=$dir/$1
    mkdir "$folder"
    echo "$2" >"$folder/kind"
    echo "$3" >"$folder/binary"
    if ((port)); then
        echo $((port + $4)) >"$folder/fixed"
        ! taken $((port + $4)) || fail 3 "port $((port + $4)) of $1 is taken; choose another --port, or 0"
    fi
    start_service "$folder" &
    helpers+=("$!")
}

server_prepare() { :; }
worker_prepare() { :; }

server_configure() {
    node_configure "$1" MOIM_LISTEN
}

worker_configure() {
    node_configure "$1" MOIM_WORKER_LISTEN
}

# node_configure FOLDER VARIABLE: its own variables, then all MOIM_* that are set here.
node_configure() {
    local variable
    cat "$1/fixed" 2>/dev/null >"$1/port" || free_port >"$1/port"
    (
        umask 077
        {
            for variable in $(compgen -e MOIM_); do
                [[ $variable == MOIM_TEST_* ]] ||
                    printf 'export %s=%q\n' "$variable" "${!variable}"
            done
            echo "export $2=127.0.0.1:$(<"$1/port") MOIM_NODE_ID=${1##*/}"
            echo "ulimit -n \$(ulimit -Hn)"
            printf 'cd %q && exec %q\n' "$1" "$bin/$(<"$1/binary")"
        } >"$1/run"
    )
}

server_answers() {
    ready "$1"
}

worker_answers() {
    ready "$1"
}

# ready FOLDER [PATH]: /readyz says 200 within 2 s.
ready() {
    local fd line=
    exec {fd}<>"/dev/tcp/127.0.0.1/$(<"$1/port")" || return 1
    printf 'GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n' "${2:-/readyz}" >&"$fd"
    IFS= read -r -t 2 -u "$fd" line || true
    exec {fd}>&-
    [[ $line == "HTTP/1.1 200"* ]]
}

# urls FOLDER…
urls() {
    local folder list=
    for folder in "$@"; do
        [[ ! -e $folder/port ]] || list+=,http://127.0.0.1:$(<"$folder/port")
    done
    echo "${list#,}"
}
