# shellcheck shell=bash disable=SC2034,SC2154 # variables of those who source it
# Words, secrets, ports, addresses.

say() {
    echo "$name: $*" >&2
}

# fail CODE WHAT…
fail() {
    local code=$1
    shift
    say "$@"
    exit "$code"
}

random_hex() {
    od -An -N16 -tx1 /dev/urandom | tr -d ' \n'
}

# free_port [ABOVE]: one on which nobody listens, nor ABOVE it at that distance. Below the ports
# that outgoing connections get, so that it is still free when a service is started again.
free_port() {
    local port
    while :; do
        port=$((10240 + $(od -An -N2 -tu2 /dev/urandom) % 12000))
        taken "$port" || { [[ -n ${1:-} ]] && taken $((port + $1)); } || break
    done
    echo "$port"
}

taken() {
    (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

# url_of FOLDER
url_of() {
    local port secret
    port=$(<"$1/port") secret=$(<"$1/secret")
    case $(<"$1/kind") in
    redis) echo "redis://:$secret@127.0.0.1:$port" ;;
    rabbitmq) echo "amqp://moim:$secret@127.0.0.1:$port/%2f" ;;
    postgres) echo "postgres://moim:$secret@127.0.0.1:$port/moim" ;;
    esac
}
