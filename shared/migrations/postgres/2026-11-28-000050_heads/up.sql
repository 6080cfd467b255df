-- How far each room is stored, written with its messages. stored_at: when the last one came, in ms
-- since 1970. from_*: the first message of which nobody's devices were told yet; due_at: when they
-- are to be.
CREATE TABLE room_heads (
    room TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    epoch BIGINT NOT NULL,
    seq BIGINT NOT NULL,
    stored_at BIGINT NOT NULL,
    from_epoch BIGINT,
    from_seq BIGINT,
    due_at BIGINT
-- Each flush writes its rooms anew, in place while there is room on the page.
) WITH (fillfactor = 50);

-- What is due.
CREATE INDEX room_heads_due ON room_heads (due_at) WHERE due_at IS NOT NULL;

INSERT INTO room_heads (room, epoch, seq, stored_at)
SELECT DISTINCT ON (room) room, epoch, seq,
    (extract(EPOCH FROM clock_timestamp()) * 1000)::BIGINT
FROM (
    SELECT room, epoch, seq FROM messages UNION ALL SELECT room, epoch, seq FROM marks
) AS numbers
ORDER BY room, epoch DESC, seq DESC;
