-- A deleted room keeps its row, so that its id is never given to others.
ALTER TABLE rooms ADD COLUMN direct BOOLEAN NOT NULL DEFAULT FALSE;
ALTER TABLE rooms ADD COLUMN deleted_at INTEGER;

-- In ms since 1970; the largest number is for ever.
ALTER TABLE members ADD COLUMN muted_until INTEGER;

-- A user's rooms in order, without those that it is banned from.
CREATE INDEX members_user ON members (user_id, banned, room);
-- A room's owners, and who would be the next one.
CREATE INDEX members_role ON members (room, role, banned, joined_at);
-- Public rooms in order. A deleted room is private.
CREATE INDEX rooms_visibility ON rooms (visibility, id);
CREATE INDEX rooms_deleted ON rooms (deleted_at) WHERE deleted_at IS NOT NULL;

-- How far each member has read; only ever moves forward.
CREATE TABLE cursors (
    room TEXT NOT NULL,
    user_id TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    PRIMARY KEY (room, user_id)
) WITHOUT ROWID;

-- A deleted account keeps its row without a password, so that its name is never given to others.
CREATE TABLE accounts (
    user_id TEXT NOT NULL PRIMARY KEY,
    name TEXT,
    password_hash TEXT,
    created_at INTEGER NOT NULL
) WITHOUT ROWID;

-- One row for each refresh token: its SHA-256, never itself. All tokens of one log-in share it.
CREATE TABLE refresh_tokens (
    hash BLOB NOT NULL PRIMARY KEY,
    user_id TEXT NOT NULL,
    login TEXT NOT NULL,
    expires_at INTEGER NOT NULL,
    rotated_at INTEGER
) WITHOUT ROWID;

CREATE INDEX refresh_tokens_user ON refresh_tokens (user_id, login);
CREATE INDEX refresh_tokens_expiry ON refresh_tokens (expires_at);

-- Access tokens of `subject` made before `before` are refused; after `until` they have expired.
CREATE TABLE revocations (
    subject TEXT NOT NULL PRIMARY KEY,
    before INTEGER NOT NULL,
    until INTEGER NOT NULL
) WITHOUT ROWID;
