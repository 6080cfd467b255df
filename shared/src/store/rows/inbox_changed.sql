-- When each room of a user last changed for it, and with $4 those that it has no more. As many rows as
-- the user has rooms, each found by a key.
SELECT members.room AS room,
    {greatest}(
        coalesce(own_changes.changed_at, 0), coalesce(cursors.moved_at, 0),
        coalesce(room_heads.stored_at, 0), rooms.changed_at
    ) AS changed_at
FROM members
JOIN rooms ON rooms.id = members.room
LEFT JOIN own_changes
    ON own_changes.user_id = members.user_id AND own_changes.room = members.room
LEFT JOIN cursors ON cursors.room = members.room AND cursors.user_id = members.user_id
LEFT JOIN room_heads ON room_heads.room = members.room
WHERE members.user_id = $1 AND members.banned = FALSE
AND {greatest}(
    coalesce(own_changes.changed_at, 0), coalesce(cursors.moved_at, 0),
    coalesce(room_heads.stored_at, 0), rooms.changed_at
) >= $2
UNION ALL
SELECT own_changes.room AS room, own_changes.changed_at AS changed_at
FROM own_changes
WHERE own_changes.user_id = $3 AND own_changes.gone AND own_changes.changed_at >= $4
