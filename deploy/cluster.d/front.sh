# shellcheck shell=bash disable=SC2034,SC2154 # variables of those who source it
# nginx or HAProxy before the servers, in a folder as theirs.

# start_front: what was asked for, or what is there.
start_front() {
    local kind=$front_wanted
    if [[ $kind == any ]]; then
        kind=none
        ! command -v haproxy >/dev/null || kind=haproxy
        ! command -v nginx >/dev/null || kind=nginx
    fi
    case $kind in
    nginx | haproxy) command -v "$kind" >/dev/null || fail 2 "$kind is not installed" ;;
    none)
        say "no front; MOIM_URL is the first server"
        return
        ;;
    *) fail 2 "unknown front \`$kind\`" ;;
    esac
    node front "$kind" "$kind" 0
    attend || fail 3 "the front did not come up"
}

nginx_prepare() { mkdir "$1/tmp"; }
haproxy_prepare() { :; }

nginx_configure() {
    front_configure "$1" nginx.conf.template 'server 127.0.0.1:PORT max_fails=1 fail_timeout=2s;'
    printf 'exec nginx -p %q -c %q -e stderr -g "daemon off;"\n' "$1" "$1/nginx.conf" >>"$1/run"
}

haproxy_configure() {
    front_configure "$1" haproxy.cfg.template 'server NAME 127.0.0.1:PORT check'
    printf 'exec haproxy -W -db -f %q\n' "$1/haproxy.cfg" >>"$1/run"
}

# front_configure FOLDER TEMPLATE LINE: LINE for each server.
front_configure() {
    local folder line list=
    cat "$1/fixed" 2>/dev/null >"$1/port" || free_port >"$1/port"
    for folder in "$dir"/node-*; do
        line=${3/PORT/$(<"$folder/port")}
        list+="${line/NAME/${folder##*/}}"'\n    '
    done
    sed -e "s|\${front_listen}|127.0.0.1:$(<"$1/port")|" -e "s|\${front_run}|$1/tmp|" \
        -e "s|\${front_servers}|$list|" "$here/$2" >"$1/${2%.template}"
    # shellcheck disable=SC2016 # for the script
    echo 'ulimit -n $(ulimit -Hn)' >"$1/run"
}

nginx_answers() {
    ready "$1" /livez
}

haproxy_answers() {
    ready "$1" /livez
}
