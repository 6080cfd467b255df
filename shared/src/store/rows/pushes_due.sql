-- Pushes that one process is about to send, with what is known of each now.
SELECT
    pushes.id AS id,
    pushes.attempts AS attempts,
    pushes.created_at AS created_at,
    pushes.kind AS kind,
    pushes.room AS room,
    rooms.name AS room_name,
    coalesce(rooms.direct, FALSE) AS direct,
    pushes.user_id AS user_id,
    pushes.device AS installation,
    devices.token AS token,
    devices.locale AS locale,
    coalesce(devices.preview, FALSE) AS preview,
    coalesce(devices.muted, FALSE) AS muted,
    coalesce(
        replace(' ' || devices.muted_rooms || ' ', ' ' || pushes.room || ' ', '')
        <> ' ' || devices.muted_rooms || ' ', FALSE
    ) AS room_muted,
    devices.quiet_hours AS quiet_hours,
    devices.time_zone AS time_zone,
    members.user_id IS NOT NULL AS is_member,
    pushes.epoch AS epoch,
    pushes.seq AS seq,
    pushes.from_epoch AS from_epoch,
    pushes.from_seq AS from_seq,
    coalesce(cursors.epoch, 0) AS read_epoch,
    coalesce(cursors.seq, 0) AS read_seq,
    coalesce((
        SELECT max(delivered.epoch) FROM delivered
        WHERE delivered.room = pushes.room AND delivered.user_id = pushes.user_id
    ), 0) AS delivered_epoch,
    coalesce((
        SELECT max(delivered.seq) FROM delivered
        WHERE delivered.room = pushes.room AND delivered.user_id = pushes.user_id
        AND delivered.epoch = (
            SELECT max(epoch) FROM delivered AS newest
            WHERE newest.room = pushes.room AND newest.user_id = pushes.user_id
        )
    ), 0) AS delivered_seq,
    said.sender AS sender,
    said.sender_name AS sender_name,
    said.sent_at AS sent_at,
    said.content_type AS content_type,
    said.is_binary AS is_binary,
    substr(said.body, 1, $1) AS body,
    (
        SELECT count(*) FROM (
            SELECT 1 FROM messages
            WHERE messages.room = pushes.room
            AND (messages.epoch, messages.seq)
                > (coalesce(cursors.epoch, 0), coalesce(cursors.seq, 0))
            LIMIT $2
        ) AS counted
    ) AS unread,
    (SELECT count(*) FROM ({UNREAD_ANYWHERE}) AS counted) AS badge
FROM pushes
LEFT JOIN devices ON devices.user_id = pushes.user_id AND devices.installation = pushes.device
LEFT JOIN members ON members.room = pushes.room AND members.user_id = pushes.user_id
    AND members.banned = FALSE
LEFT JOIN rooms ON rooms.id = pushes.room
LEFT JOIN cursors ON cursors.room = pushes.room AND cursors.user_id = pushes.user_id
LEFT JOIN messages AS said ON said.room = pushes.room AND said.epoch = pushes.epoch
    AND said.seq = pushes.seq
WHERE pushes.lease = $3
ORDER BY pushes.id
