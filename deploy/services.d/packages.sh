# shellcheck shell=bash disable=SC2034,SC2154 # variables of those who source it
# The binaries of the machine; the distribution's packages where they are missing.

rabbitmq_binary() {
    local path
    # Debian's /usr/sbin/rabbitmq-server changes user and folder; the script below it does not.
    for path in /usr/lib/rabbitmq/bin/rabbitmq-server \
        /usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin/rabbitmq-server \
        /opt/rabbitmq/sbin/rabbitmq-server "$(command -v rabbitmq-server || true)"; do
        if [[ -x $path ]]; then
            echo "$path"
            return
        fi
    done
    return 1
}

# The folder with postgres, initdb and psql of the newest version.
postgres_binaries() {
    local path best=
    for path in $(printf '%s\n' /usr/lib/postgresql/*/bin /usr/pgsql-*/bin | sort -V) \
        "$(dirname "$(readlink -f "$(command -v postgres || echo /none/none)")")"; do
        [[ ! -x $path/postgres || ! -x $path/initdb || ! -x $path/psql ]] || best=$path
    done
    [[ -n $best ]] && echo "$best"
}

# packages_missing SERVICE…: those of which a binary is not there.
packages_missing() {
    local service
    for service in "$@"; do
        case $service in
        redis* | sentinel*)
            { command -v redis-server && command -v redis-cli; } >/dev/null || echo redis-server
            ;;
        rabbitmq)
            { rabbitmq_binary && command -v epmd && command -v erl; } >/dev/null || echo rabbitmq-server
            ;;
        postgres) postgres_binaries >/dev/null || echo postgresql ;;
        nginx) command -v nginx >/dev/null || echo nginx-light ;;
        prometheus)
            { command -v prometheus && command -v promtool; } >/dev/null || echo prometheus
            ;;
        esac
    done | sort -u
}

packages_need() {
    local missing
    missing=$(packages_missing "$@")
    [[ -n $missing ]] || return 0
    packages_install "$@" >&2
    missing=$(packages_missing "$@")
    [[ -z $missing ]] || fail 3 "still missing after the installation: ${missing//$'\n'/ }"
}

# packages_install SERVICE…
packages_install() {
    local root=() missing
    missing=$(packages_missing "$@")
    ((EUID == 0)) || root=(sudo -n)
    if ! command -v apt-get >/dev/null || ! "${root[@]}" true 2>/dev/null; then
        fail 3 "missing here: ${missing//$'\n'/ }
  (Debian's names of packages; looked for are the programs redis-server and redis-cli,
  rabbitmq-server with erl and epmd, postgres with initdb and psql, prometheus with promtool.)
  Install them, or start a Docker engine with Compose, or set the MOIM_TEST_*_URL of a service that
  tests may flush."
    fi
    say "installs ${missing//$'\n'/ }"
    # One of several that start at once installs; the others find the packages there.
    (
        flock 9
        # shellcheck disable=SC2046 # a word each
        packages_apt $(packages_missing "$@")
    ) 9>"${TMPDIR:-/tmp}/moim-services.$EUID.lock"
}

packages_apt() {
    (($#)) || return 0
    local policy=/usr/sbin/policy-rc.d mine=
    # The packages must not start the machine's own services. Left behind, it allows everything.
    if [[ ! -e $policy ]]; then
        mine=1
        printf '#!/bin/sh\n[ ! -d /proc/%s ] || exit 101\n' "$$" |
            "${root[@]}" sh -c "cat >$policy && chmod 755 $policy"
    fi
    local code=0
    {
        "${root[@]}" apt-get -q update &&
            "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -y \
                -o DPkg::Lock::Timeout=300 install --no-install-recommends "$@"
    } || code=$?
    [[ -z $mine ]] || "${root[@]}" rm -f "$policy"
    ((code == 0)) || fail 3 "apt-get could not install" "$@"
}
