"""What the dashboards show. A panel is a title, a unit and [(expression, legend)…]."""


def quantiles(metric, by="", where="", legend=""):
    """p50 and p99 of a histogram in seconds."""
    labels = ", ".join(filter(None, ["le", by]))
    return [
        (
            f"histogram_quantile({q / 100}, sum by ({labels}) "
            f"(rate({metric}_bucket{where}[$__rate_interval])))",
            f"p{q}{legend}",
        )
        for q in (50, 99)
    ]


def rate(metric, by="", where="", legend=None):
    labels = f" by ({by})" if by else ""
    text = " ".join("{{%s}}" % label for label in by.split(", ")) if by else metric
    return (f"sum{labels} (rate({metric}{where}[$__rate_interval]))", legend or text)


def graph(title, unit, targets, width=8, stack=False, kind="timeseries", note="", steps=None):
    return {
        "title": title,
        "unit": unit,
        "targets": targets,
        "width": width,
        "stack": stack,
        "kind": kind,
        "note": note,
        "steps": steps,
    }


def stat(title, unit, expression, steps=None, width=4, note=""):
    return graph(title, unit, [(expression, "")], width, kind="stat", note=note, steps=steps)


def heat(title, metric, where=""):
    expression = f"sum by (le) (rate({metric}_bucket{where}[$__rate_interval]))"
    return graph(title, "s", [(expression, "{{le}}")], 12, kind="heatmap")


def bad_from(value):
    return [("green", None), ("red", value)]


def good_from(value):
    return [("red", None), ("green", value)]


CLUSTER = {
    "Now": [
        stat("Servers", "none", 'sum(up{job="moim-server"})', good_from(1)),
        stat("Workers", "none", 'sum(up{job="moim-worker"})', good_from(1)),
        stat("Sessions", "none", "sum(moim_sessions)"),
        stat("Messages put aside", "none", "max(moim_worker_dead)", bad_from(1)),
        stat("Oldest canary", "s", "max(moim_canary_age_seconds)", bad_from(5)),
        stat("Processes that drain", "none", "sum(moim_draining) + sum(moim_worker_draining)"),
    ],
    "People": [
        graph(
            "Connections and what they read",
            "none",
            [
                ("sum(moim_connections)", "connections"),
                ("sum(moim_sessions)", "sessions"),
                ("sum(moim_subscriptions)", "subscriptions"),
                ("sum(moim_rooms)", "rooms"),
            ],
        ),
        graph(
            "Messages",
            "ops",
            [
                rate("moim_send_stored_seconds_count", legend="SENDs with RECEIPT"),
                rate("moim_deliveries_total", legend="deliveries"),
            ],
        ),
        graph("Sessions by server", "none", [("moim_sessions", "{{instance}}")], stack=True),
        graph("SEND to delivery", "s", quantiles("moim_send_delivered_seconds")),
        graph("SEND to RECEIPT", "s", quantiles("moim_send_stored_seconds")),
        graph("Refusals", "ops", [rate("moim_refusals_total", "reason")], stack=True),
        graph("Sessions and rooms ended by servers", "ops", [rate("moim_drops_total", "reason")]),
        graph("Log-ins refused", "ops", [rate("moim_logins_refused_total", "reason")]),
        graph(
            "Bytes that wait",
            "bytes",
            [
                ("sum(moim_pending_bytes)", "SENDs for their answer"),
                ("sum(moim_outbox_bytes)", "messages for clients to read"),
                ("sum(moim_queue_waiting_bytes)", "messages for RabbitMQ's confirm"),
            ],
        ),
    ],
    "What it stands on": [
        graph(
            "Dependencies, as servers say",
            "none",
            [("min by (dependency) (moim_dependency_up)", "{{dependency}}")],
            steps=good_from(1),
            note="0 when one server at least does not reach it.",
        ),
        graph(
            "Dependencies, as workers say",
            "none",
            [("min by (dependency) (moim_worker_dependency_up)", "{{dependency}}")],
            steps=good_from(1),
        ),
        graph("Canary's age", "s", [("moim_canary_age_seconds", "{{instance}}")]),
        graph("Write-behind: flush lag", "s", quantiles("moim_worker_flush_lag_seconds")),
        graph(
            "In RabbitMQ",
            "none",
            [("max(moim_worker_queued)", "wait"), ("max(moim_worker_dead)", "put aside")],
        ),
        graph(
            "Logs",
            "ops",
            [
                rate("moim_epochs_rolled_total", legend="epochs rolled"),
                rate("moim_holes_filled_total", legend="holes filled"),
                rate("moim_worker_swept_total", legend="swept"),
            ],
        ),
    ],
}

ONE = '{instance=~"$instance"}'
NODE = {
    "People": [
        graph(
            "Connections",
            "none",
            [
                (f"moim_connections{ONE}", "WebSockets {{instance}}"),
                (f"moim_requests{ONE}", "HTTP requests {{instance}}"),
            ],
            note="limits.connections_max is 16,000 unless it is set.",
        ),
        graph("Sessions", "none", [(f"moim_sessions{ONE}", "{{instance}}")]),
        graph(
            "Subscriptions and rooms",
            "none",
            [
                (f"moim_subscriptions{ONE}", "subscriptions {{instance}}"),
                (f"moim_rooms{ONE}", "rooms {{instance}}"),
            ],
        ),
        graph("Deliveries", "ops", [rate("moim_deliveries_total", "instance", ONE)]),
        graph("Refusals", "ops", [rate("moim_refusals_total", "instance, reason", ONE)]),
        graph("Drops", "ops", [rate("moim_drops_total", "instance, reason", ONE)]),
        graph(
            "Log-ins refused", "ops", [rate("moim_logins_refused_total", "instance, reason", ONE)]
        ),
    ],
    "Time": [
        heat("SEND to delivery", "moim_send_delivered_seconds", ONE),
        heat("SEND to RECEIPT", "moim_send_stored_seconds", ONE),
        graph(
            "SEND to delivery",
            "s",
            quantiles("moim_send_delivered_seconds", "instance", ONE, " {{instance}}"),
        ),
        graph(
            "SEND to RECEIPT",
            "s",
            quantiles("moim_send_stored_seconds", "instance", ONE, " {{instance}}"),
        ),
        graph(
            "Messages of one append",
            "none",
            [
                (
                    f"sum by (instance) (rate(moim_batch_messages_sum{ONE}[$__rate_interval])) / "
                    f"sum by (instance) (rate(moim_batch_messages_count{ONE}[$__rate_interval]))",
                    "on average {{instance}}",
                )
            ],
        ),
        graph("Appends", "ops", [rate("moim_batch_messages_count", "instance", ONE)]),
    ],
    "What waits": [
        graph("For their answer", "bytes", [(f"moim_pending_bytes{ONE}", "{{instance}}")]),
        graph("For clients to read", "bytes", [(f"moim_outbox_bytes{ONE}", "{{instance}}")]),
        graph(
            "For RabbitMQ's confirm", "bytes", [(f"moim_queue_waiting_bytes{ONE}", "{{instance}}")]
        ),
        graph("For rooms", "none", [(f"moim_mailbox_messages{ONE}", "{{instance}}")]),
    ],
    "The bus and the logs": [
        graph("Canary's age", "s", [(f"moim_canary_age_seconds{ONE}", "{{instance}}")]),
        graph("Holes filled", "ops", [rate("moim_holes_filled_total", "instance", ONE)]),
        graph("Epochs rolled", "ops", [rate("moim_epochs_rolled_total", "instance", ONE)]),
    ],
    "What it stands on": [
        graph(
            "Dependencies",
            "none",
            [(f"moim_dependency_up{ONE}", "{{dependency}} {{instance}}")],
            steps=good_from(1),
        ),
        graph("Drains", "none", [(f"moim_draining{ONE}", "{{instance}}")]),
        graph(
            "Pool of connections to the database",
            "none",
            [
                (f"moim_store_pool_connections{ONE}", "there are {{lane}} {{instance}}"),
                (f"moim_store_pool_used{ONE}", "used {{lane}} {{instance}}"),
                (f"moim_store_pool_waiting{ONE}", "wait for one {{lane}} {{instance}}"),
            ],
        ),
        graph(
            "Calls without an answer in time",
            "ops",
            [rate("moim_store_pool_timeouts_total", "instance, lane", ONE)],
        ),
    ],
}

WRITE_BEHIND = {
    "In front of RabbitMQ": [
        graph("Waits for its confirm", "bytes", [("moim_queue_waiting_bytes", "{{instance}}")]),
        graph("SENDs without an answer", "bytes", [("moim_pending_bytes", "{{instance}}")]),
        graph("SEND to RECEIPT", "s", quantiles("moim_send_stored_seconds")),
    ],
    "RabbitMQ": [
        graph(
            "AMQP messages that wait",
            "none",
            [("max(moim_worker_queued)", "wait")],
            12,
            note="Each has many envelopes. Workers take all at once unless they are behind.",
        ),
        graph(
            "AMQP messages put aside",
            "none",
            [("max(moim_worker_dead)", "in the dead letter queue")],
            12,
            steps=bad_from(1),
        ),
    ],
    "Workers": [
        graph(
            "Rows", "ops", [rate("moim_worker_rows_total", "instance")], stack=True
        ),
        graph("Flush lag", "s", quantiles("moim_worker_flush_lag_seconds")),
        graph(
            "Writing one batch",
            "s",
            quantiles("moim_worker_insert_seconds", "instance", "", " {{instance}}"),
        ),
        heat("Flush lag", "moim_worker_flush_lag_seconds"),
        heat("Writing one batch", "moim_worker_insert_seconds"),
        graph(
            "Out of the ordinary",
            "ops",
            [
                rate("moim_worker_late_total", legend="said again in another epoch"),
                rate("moim_worker_buried_total", legend="can never be stored"),
                rate("moim_worker_swept_total", legend="queued again from the logs"),
            ],
        ),
        graph("Drain", "none", [("moim_worker_draining", "{{instance}}")]),
        graph(
            "Dependencies",
            "none",
            [("moim_worker_dependency_up", "{{dependency}} {{instance}}")],
            steps=good_from(1),
        ),
        graph(
            "Pool of connections to the database",
            "none",
            [
                ("moim_worker_store_pool_connections", "there are {{lane}} {{instance}}"),
                ("moim_worker_store_pool_used", "used {{lane}} {{instance}}"),
                ("moim_worker_store_pool_waiting", "wait for one {{lane}} {{instance}}"),
            ],
            12,
        ),
        graph(
            "Calls without an answer in time",
            "ops",
            [rate("moim_worker_store_pool_timeouts_total", "instance, lane")],
            12,
        ),
    ],
}

PUSH = {
    "": [
        graph("Pushes by what became of them", "ops", [rate("moim_worker_pushes_total", "end")], 12),
        graph(
            "Part that fails or is tried again",
            "percentunit",
            [
                (
                    'sum(rate(moim_worker_pushes_total{end=~"again|failed"}[$__rate_interval])) / '
                    "sum(rate(moim_worker_pushes_total[$__rate_interval]))",
                    "again and failed",
                )
            ],
            12,
        ),
        graph("Age when FCM takes it", "s", quantiles("moim_worker_push_age_seconds"), 12),
        heat("Age when FCM takes it", "moim_worker_push_age_seconds"),
        graph("By worker", "ops", [rate("moim_worker_pushes_total", "instance, end")], 24),
    ],
}

DASHBOARDS = {
    "cluster": ("Moim: cluster", CLUSTER),
    "node": ("Moim: node", NODE),
    "write-behind": ("Moim: write-behind", WRITE_BEHIND),
    "push": ("Moim: push", PUSH),
}
