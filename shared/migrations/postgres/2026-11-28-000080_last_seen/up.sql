-- When somebody who is not connected was last there, in ms since 1970; only ever moves forward.
CREATE TABLE last_seen (
    user_id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    at BIGINT NOT NULL
);
