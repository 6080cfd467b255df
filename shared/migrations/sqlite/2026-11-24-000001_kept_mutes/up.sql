-- Mutes of those who left or were kicked, until they come back.
CREATE TABLE kept_mutes (
    room TEXT NOT NULL,
    user_id TEXT NOT NULL,
    muted_until INTEGER NOT NULL,
    PRIMARY KEY (room, user_id)
) WITHOUT ROWID;
