-- Rooms, where each ends, and its last message, of a text only the beginning.
SELECT
    rooms.id AS room,
    rooms.name AS room_name,
    rooms.visibility AS visibility,
    rooms.direct AS direct,
    rooms.created_at AS created_at,
    coalesce(room_heads.epoch, 0) AS head_epoch,
    coalesce(room_heads.seq, 0) AS head_seq,
    last.epoch AS epoch,
    last.seq AS seq,
    last.sender AS sender,
    last.sender_name AS sender_name,
    last.sent_at AS sent_at,
    last.content_type AS content_type,
    {preview} AS preview
FROM {given}
JOIN rooms ON rooms.id = given.room
LEFT JOIN room_heads ON room_heads.room = rooms.id
LEFT JOIN messages AS last ON last.room = rooms.id
    AND last.epoch = (
        SELECT messages.epoch FROM messages WHERE messages.room = rooms.id
        ORDER BY messages.epoch DESC, messages.seq DESC LIMIT 1
    )
    AND last.seq = (
        SELECT messages.seq FROM messages WHERE messages.room = rooms.id
        ORDER BY messages.epoch DESC, messages.seq DESC LIMIT 1
    )
