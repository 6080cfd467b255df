# shellcheck shell=bash disable=SC2034,SC2154 # variables of those who source it
# What tests do to a running service or node.

# ctl VERB SERVICE: in the folder $dir
ctl() {
    (($# == 2)) || { usage >&2; exit 2; }
    local folder=$dir/$2 kind
    [[ -e $folder/kind ]] || fail 2 "no service \`$2\` was started in $dir"
    case $1 in
    stop | start | restart | kill | pause | resume) ;;
    *) fail 2 "unknown verb \`$1\`" ;;
    esac
    if [[ -e $dir/compose.env ]]; then
        docker_ctl "$1" "$2"
        return
    fi
    kind=$(<"$folder/kind")
    case $1 in
    stop) stop_process "$folder" ;;
    start) start_process "$folder" ;;
    restart)
        stop_process "$folder"
        start_process "$folder"
        ;;
    kill)
        local members
        members=$(signal_family KILL "$folder")
        # shellcheck disable=SC2086 # one word each
        gone 10 $members || fail 1 "$2 does not end"
        ;;
    pause) signal_family STOP "$folder" >/dev/null ;;
    resume)
        signal_family CONT "$folder" >/dev/null
        await "$folder" || fail_with_log "$folder" "does not answer"
        ;;
    esac
}

start_process() {
    if ! pid_of "$1" >/dev/null; then
        rm -f "$1/identity"
        end_helper "$1"
        [[ $kind != postgres ]] || postgres_release "$1"
        launch "$1"
    fi
    await "$1" || fail_with_log "$1" "did not come up"
}
