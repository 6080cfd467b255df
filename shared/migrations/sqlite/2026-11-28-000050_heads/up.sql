-- How far each room is stored, written with its messages. stored_at: when the last one came, in ms
-- since 1970. from_*: the first message of which nobody's devices were told yet; due_at: when they
-- are to be.
CREATE TABLE room_heads (
    room TEXT NOT NULL PRIMARY KEY,
    epoch INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    stored_at INTEGER NOT NULL,
    from_epoch INTEGER,
    from_seq INTEGER,
    due_at INTEGER
) WITHOUT ROWID;

-- What is due.
CREATE INDEX room_heads_due ON room_heads (due_at) WHERE due_at IS NOT NULL;

INSERT INTO room_heads (room, epoch, seq, stored_at)
SELECT room, epoch, seq, CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)
FROM (
    SELECT room, epoch, seq,
        row_number() OVER (PARTITION BY room ORDER BY epoch DESC, seq DESC) AS nth
    FROM (SELECT room, epoch, seq FROM messages UNION ALL SELECT room, epoch, seq FROM marks)
)
WHERE nth = 1;
