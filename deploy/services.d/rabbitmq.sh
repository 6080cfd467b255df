# shellcheck shell=bash disable=SC2034,SC2154 # variables of those who source it
# RabbitMQ: a node of its own with its own epmd, so that none of the machine is touched.

rabbitmq_prepare() {
    mkdir "$1/data"
    : >"$1/empty"
    echo '[].' >"$1/plugins"
}

rabbitmq_configure() {
    local bin port
    bin=$(rabbitmq_binary)
    port=$(free_port)
    echo "$port" >"$1/port"
    free_port >"$1/epmd.port"
    (
        umask 077
        cat >"$1/rabbitmq.conf" <<CONF
listeners.tcp.local = 127.0.0.1:$port
default_user = moim
default_pass = $(<"$1/secret")
log.console = true
log.file = false
CONF
    )
    # RUNNING_UNDER_SYSTEMD: the script becomes the node instead of staying above it.
    cat >"$1/run" <<RUN
export RABBITMQ_NODENAME=moim-$(random_hex)@localhost
export RABBITMQ_CONF_ENV_FILE='$1/empty'
export RABBITMQ_CONFIG_FILE='$1/rabbitmq.conf'
export RABBITMQ_CONFIG_FILES='$1/none'
export RABBITMQ_ADVANCED_CONFIG_FILE='$1/none'
export RABBITMQ_ENABLED_PLUGINS_FILE='$1/plugins'
export RABBITMQ_MNESIA_BASE='$1/data'
export RABBITMQ_LOG_BASE='$1' RABBITMQ_LOGS=-
export RABBITMQ_GENERATED_CONFIG_DIR='$1' RABBITMQ_SCHEMA_DIR='$1'
export RABBITMQ_PID_FILE='$1/node.pid'
export RABBITMQ_DIST_PORT=$(free_port)
export RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS='-start_epmd false -kernel inet_dist_use_interface {127,0,0,1}'
export ERL_EPMD_PORT=$(<"$1/epmd.port") ERL_EPMD_ADDRESS=127.0.0.1
export RUNNING_UNDER_SYSTEMD=true
. '$here/services.d/process.sh'
epmd -address 127.0.0.1 -port "\$ERL_EPMD_PORT" &
identity \$! >'$1/helper'
exec '$bin'
RUN
}

# Logs in as the client would: greeting, StartOk with PLAIN, and Tune comes back. (Another node on
# this port knows another password.)
rabbitmq_answers() {
    local fd size method=
    exec {fd}<>"/dev/tcp/127.0.0.1/$(<"$1/port")" || return 1
    printf 'AMQP\0\0\11\1' >&"$fd"
    size=$(timeout 2 head -c 7 <&"$fd" | od -An -tu1 | awk '{ print $4 * 16777216 + $5 * 65536 + $6 * 256 + $7 }')
    if [[ -n $size ]]; then
        timeout 2 head -c $((size + 1)) <&"$fd" >/dev/null
        # class 10 method 11, no properties, mechanism, answer of 38 bytes, locale
        printf '\1\0\0\0\0\0\x3e\0\12\0\13\0\0\0\0\5PLAIN\0\0\0\x26\0moim\0%s\5en_US\xce' \
            "$(<"$1/secret")" >&"$fd"
        method=$(timeout 2 head -c 11 <&"$fd" | od -An -tx1 -j7 | tr -d ' \n')
    fi
    exec {fd}>&-
    [[ $method == 000a001e ]]
}
