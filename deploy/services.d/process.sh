# shellcheck shell=bash disable=SC2034,SC2154 # variables of those who source it
# Processes: who lives, who belongs to whom, how a service of a folder is started and ended.

# identity PID: the id and the time of birth, since ids come again; fails when it does not live.
identity() {
    local stat fields
    if [[ -d /proc/self ]]; then
        read -r stat 2>/dev/null <"/proc/$1/stat" || return 1
        read -ra fields <<<"${stat##*) }"
        [[ ${fields[0]} != [ZX] ]] || return 1
        echo "$1:${fields[19]}"
    else
        stat=$(ps -o lstart= -p "$1" 2>/dev/null) && echo "$1:${stat// /_}"
    fi
}

# lives IDENTITY
lives() {
    [[ $(identity "${1%%:*}") == "$1" ]]
}

# pid_of FOLDER: of the service's first process; fails when it does not live.
pid_of() {
    local known
    known=$(cat "$1/identity" 2>/dev/null) && [[ -n $known ]] && lives "$known" && echo "${known%%:*}"
}

# family PID: itself first, then all that descend from it.
family() {
    { cat /proc/[0-9]*/stat 2>/dev/null || true; } | sed 's/(.*) . //' | awk -v root="$1" '
        { parent[$1] = $2 }
        END {
            print root
            for (pid in parent) {
                for (up = parent[pid]; up > 1 && up != root; up = parent[up]);
                if (up == root) print pid
            }
        }'
}

# signal_family SIGNAL FOLDER: prints whom it was sent to; nobody when the service does not run.
signal_family() {
    local pid members
    pid=$(pid_of "$2") || return 0
    if [[ $1 == KILL ]]; then kill -STOP "$pid" 2>/dev/null || true; fi # it has no more children
    members=$(family "$pid")
    # shellcheck disable=SC2086 # one word each
    kill "-$1" $members 2>/dev/null || true
    echo "$members"
}

# gone SECONDS PID…: waits until none of them lives; fails when one still does.
gone() {
    local until=$((SECONDS + $1)) pid
    shift
    for pid in "$@"; do
        while identity "$pid" >/dev/null; do
            ((SECONDS < until)) || return 1
            sleep 0.05
        done
    done
}

# launch FOLDER: starts FOLDER/run in a session of its own. The process writes its own id before it
# becomes the service; where the folder is gone, it does not.
launch() {
    (
        folder=$1
        # shellcheck disable=SC2016 # for the inner shell
        exec env -i PATH="$PATH" HOME="$folder" LC_ALL=C.UTF-8 setsid bash -c '
            . "$2/services.d/process.sh"
            echo $$ >"$1/pid" && identity $$ >"$1/identity" && exec bash "$1/run"
        ' bash "$folder" "$here" </dev/null >>"$folder/log" 2>&1
    ) &
    until [[ -s $1/identity ]]; do
        kill -0 $! 2>/dev/null || break
        sleep 0.02
    done
}

# await FOLDER: until the service answers; fails when it has ended or does not in time.
await() {
    local until=$((SECONDS + 60)) kind
    kind=$(<"$1/kind")
    while :; do
        [[ -e ${1%/*}/compose.env ]] || pid_of "$1" >/dev/null || return 1
        ! "${kind}_answers" "$1" 2>/dev/null || return 0
        ((SECONDS < until)) || return 1
        sleep 0.1
    done
}

# start_service FOLDER: on free ports; on others, when somebody was faster.
start_service() {
    local kind try
    kind=$(<"$1/kind")
    "${kind}_prepare" "$1" >>"$1/log" 2>&1 || fail_with_log "$1" "could not be prepared"
    for try in 1 2 3 4 5; do
        "${kind}_configure" "$1"
        rm -f "$1/identity"
        launch "$1"
        if await "$1"; then
            say "${1##*/} answers on port $(<"$1/port")"
            return
        fi
        grep -qiE 'address.*in use|eaddrinuse' "$1/log" || break
        end_service "$1"
        say "${1##*/} found its port taken (try $try)"
    done
    fail_with_log "$1" "did not come up"
}

# stop_process FOLDER [SECONDS]: as its operator stops it, with nothing of it left.
stop_process() {
    local pid members
    pid=$(pid_of "$1") || return 0
    members=$(family "$pid")
    kill "-$(cat "$1/signal" 2>/dev/null || echo TERM)" "$pid"
    # shellcheck disable=SC2086 # one word each
    kill -CONT $members 2>/dev/null || true
    gone "${2:-30}" "$pid" || say "${1##*/} does not stop by itself; killed"
    # shellcheck disable=SC2086
    kill -KILL $members 2>/dev/null || true
    # shellcheck disable=SC2086
    gone 10 $members
}

# end_service FOLDER: at once, its data is not wanted any more.
end_service() {
    local kind members
    kind=$(cat "$1/kind" 2>/dev/null) || return 0
    if [[ $kind == postgres ]]; then postgres_end "$1"; fi
    members=$(signal_family KILL "$1")
    # shellcheck disable=SC2086
    gone 10 $members || say "process $members of $1 does not end"
    end_helper "$1"
}

# end_helper FOLDER: a process that the service left behind, when it did.
end_helper() {
    local known
    if known=$(cat "$1/helper" 2>/dev/null) && lives "$known"; then
        kill -KILL "${known%%:*}" 2>/dev/null || true
        gone 5 "${known%%:*}" || true
    fi
}

# fail_with_log FOLDER WHAT
fail_with_log() {
    say "${1##*/} $2; the end of its log:"
    tail -n 30 "$1/log" >&2 || true
    exit 3
}
