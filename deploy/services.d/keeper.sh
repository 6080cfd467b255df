# shellcheck shell=bash disable=SC2034,SC2154 # variables of those who source it
# What is called (the front) and what it starts (the keeper): a process and session of its own, which
# owns a folder and everything that runs there. So it can clean up whatever happens to the front, to
# its process group or to its terminal, a SIGKILL too.

# own FRONT NAME: makes the folder in $dir.
own() {
    owners=("$1") helpers=()
    [[ -z $parent ]] || owners+=("$parent")
    dir=$(mktemp -d "${TMPDIR:-/tmp}/moim-$2.XXXXXX")
    chmod 711 "$dir" # the user `postgres` passes through
    trap 'remove "$dir"' EXIT
    trap 'exit 0' TERM INT HUP
}

owners_live() {
    local owner
    for owner in "${owners[@]}"; do lives "$owner" || return 1; done
}

# attend: waits for the helpers; fails when one did.
attend() {
    local helper
    for helper in "${helpers[@]}"; do
        while kill -0 "$helper" 2>/dev/null; do
            owners_live || exit 0
            sleep 0.1
        done
        wait "$helper" || return
    done
    helpers=()
}

# remove DIR: ends what was started in it, then the folder. The folder moves first: a process that
# is just being started can no longer write its pid, and then is not started.
remove() {
    set +e
    trap '' TERM INT HUP
    kill -TERM -- "-$$" 2>/dev/null # the helpers and their commands; we ignore it
    ((${#helpers[@]} == 0)) || wait "${helpers[@]}"
    mv "$1" "$1.gone" || return
    end_all "$1.gone"
    rm -rf "$1.gone"
}

# The front: what was called. It starts the keeper, passes signals on and waits.
front() {
    local me keeper
    me=$(identity $$)
    if ((${#command[@]})); then
        local line ready=
        exec {lines}< <(exec setsid "$here/$name" "${options[@]}" keep "$me")
        keeper=$!
        trap 'kill -TERM "$keeper" 2>/dev/null; wait "$keeper"; exit 143' TERM INT HUP
        while read -r -u "$lines" line; do
            export "${line?}"
            [[ $line != *_READY=1 ]] || ready=1
        done
        [[ -n $ready ]] || { wait "$keeper"; exit; }
        run_command
        kill -TERM "$keeper" 2>/dev/null || true
        wait "$keeper" || true
        exit "$code"
    fi
    setsid "$here/$name" "${options[@]}" keep "$me" &
    keeper=$!
    exec >&- # it prints the lines, and who reads them sees their end
    trap 'kill -TERM "$keeper" 2>/dev/null || true' TERM INT HUP
    wait_for "$keeper"
    exit "$code"
}

# Runs the command with our stdin and signals; its exit code is in `code`.
run_command() {
    local child
    # Background jobs of a script ignore SIGINT and read nothing; this one shall not.
    (
        trap - INT QUIT TERM HUP
        exec "${command[@]}"
    ) <&0 {lines}<&- &
    child=$!
    trap 'kill -TERM "$child" 2>/dev/null || true' TERM HUP
    trap 'kill -INT "$child" 2>/dev/null || true' INT
    wait_for "$child"
    trap '' TERM HUP INT
}

# wait_for PID: its exit code into `code`, however many signals come in between.
wait_for() {
    while :; do
        code=0
        wait "$1" || code=$?
        kill -0 "$1" 2>/dev/null || break
    done
}
