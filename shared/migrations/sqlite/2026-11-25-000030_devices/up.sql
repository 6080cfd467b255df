-- Devices that pushes go to. token: what the provider sends by; NULL: it gets none. token_hash: of
-- that, to find it by, as a token can be too long for an index. quiet_hours: HH:MM-HH:MM.
-- muted_rooms: their ids with blanks between them.
-- A rowid table: with all their muted rooms, rows are too long for the tree of a key.
CREATE TABLE devices (
    user_id TEXT NOT NULL,
    installation TEXT NOT NULL,
    token TEXT,
    token_hash INTEGER,
    platform TEXT NOT NULL,
    locale TEXT,
    time_zone TEXT,
    muted BOOLEAN NOT NULL,
    preview BOOLEAN NOT NULL,
    quiet_hours TEXT,
    seen_at INTEGER NOT NULL,
    muted_rooms TEXT NOT NULL,
    PRIMARY KEY (user_id, installation)
);

-- Whose a token is.
CREATE INDEX devices_token ON devices (token_hash) WHERE token_hash IS NOT NULL;
-- Those with a token that were not seen for longest.
CREATE INDEX devices_seen ON devices (seen_at) WHERE token IS NOT NULL;
