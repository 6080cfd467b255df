-- The tables of the SQLite database, for many processes at once. Text is compared by its bytes, as
-- everywhere in this program, whatever the database's own order is.

-- Partitioned, so that many inserts do not meet in one index. The body is last, so that what is in
-- front of it is read without following a long one.
CREATE TABLE messages (
    room TEXT COLLATE "C" NOT NULL,
    epoch BIGINT NOT NULL,
    seq BIGINT NOT NULL,
    origin_id TEXT COLLATE "C",
    sender TEXT COLLATE "C" NOT NULL,
    sent_at BIGINT NOT NULL,
    content_type TEXT,
    sender_name TEXT,
    is_binary BOOLEAN NOT NULL,
    headers TEXT,
    body_hash BIGINT NOT NULL,
    body BYTEA NOT NULL,
    PRIMARY KEY (room, epoch, seq)
) PARTITION BY HASH (room);

-- Partial, so that a message without a name costs nothing here.
CREATE UNIQUE INDEX messages_name ON messages (room, sender, origin_id)
WHERE origin_id IS NOT NULL;

-- Numbers that are spent and show nothing. kind 'duplicate': the name stands at first_*.
CREATE TABLE marks (
    room TEXT COLLATE "C" NOT NULL,
    epoch BIGINT NOT NULL,
    seq BIGINT NOT NULL,
    kind TEXT NOT NULL,
    first_epoch BIGINT,
    first_seq BIGINT,
    PRIMARY KEY (room, epoch, seq)
) PARTITION BY HASH (room);

DO $$
BEGIN
    FOR part IN 0..15 LOOP
        EXECUTE format(
            'CREATE TABLE messages_%s PARTITION OF messages
             FOR VALUES WITH (MODULUS 16, REMAINDER %s)', part, part);
        EXECUTE format(
            'CREATE TABLE marks_%s PARTITION OF marks
             FOR VALUES WITH (MODULUS 16, REMAINDER %s)', part, part);
    END LOOP;
END
$$;

-- begun: nothing is added below it any more. An epoch may have rows before it is begun.
CREATE TABLE epochs (
    room TEXT COLLATE "C" NOT NULL,
    epoch BIGINT NOT NULL,
    sealed_last BIGINT,
    begun BOOLEAN NOT NULL DEFAULT FALSE,
    PRIMARY KEY (room, epoch)
);

-- A deleted room keeps its row, so that its id is never given to others.
CREATE TABLE rooms (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    name TEXT,
    visibility TEXT COLLATE "C" NOT NULL DEFAULT 'private',
    created_at BIGINT NOT NULL,
    direct BOOLEAN NOT NULL DEFAULT FALSE,
    deleted_at BIGINT
);

-- Public rooms in order. A deleted room is private.
CREATE INDEX rooms_visibility ON rooms (visibility, id);
CREATE INDEX rooms_deleted ON rooms (deleted_at) WHERE deleted_at IS NOT NULL;

-- muted_until: in ms since 1970; the largest number is for ever. No foreign key, as rooms stay, and
-- each check of it would lock the room's row.
CREATE TABLE members (
    room TEXT COLLATE "C" NOT NULL,
    user_id TEXT COLLATE "C" NOT NULL,
    name TEXT,
    role TEXT COLLATE "C" NOT NULL DEFAULT 'member',
    source TEXT COLLATE "C" NOT NULL,
    joined_at BIGINT NOT NULL,
    banned BOOLEAN NOT NULL DEFAULT FALSE,
    muted_until BIGINT,
    PRIMARY KEY (room, user_id)
);

-- A user's rooms in order, without those that it is banned from.
CREATE INDEX members_user ON members (user_id, banned, room);
-- A room's owners, and who would be the next one.
CREATE INDEX members_role ON members (room, role, banned, joined_at);

-- Mutes of those who left or were kicked, until they come back.
CREATE TABLE kept_mutes (
    room TEXT COLLATE "C" NOT NULL,
    user_id TEXT COLLATE "C" NOT NULL,
    muted_until BIGINT NOT NULL,
    PRIMARY KEY (room, user_id)
);

-- How far each member has read; only ever moves forward.
CREATE TABLE cursors (
    room TEXT COLLATE "C" NOT NULL,
    user_id TEXT COLLATE "C" NOT NULL,
    epoch BIGINT NOT NULL,
    seq BIGINT NOT NULL,
    PRIMARY KEY (room, user_id)
);

-- A deleted account keeps its row without a password, so that its name is never given to others.
CREATE TABLE accounts (
    user_id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    name TEXT,
    password_hash TEXT,
    created_at BIGINT NOT NULL
);

-- One row for each refresh token: its SHA-256, never itself. All tokens of one log-in share it.
CREATE TABLE refresh_tokens (
    hash BYTEA NOT NULL PRIMARY KEY,
    user_id TEXT COLLATE "C" NOT NULL,
    login TEXT COLLATE "C" NOT NULL,
    expires_at BIGINT NOT NULL,
    rotated_at BIGINT
);

CREATE INDEX refresh_tokens_user ON refresh_tokens (user_id, login);
CREATE INDEX refresh_tokens_expiry ON refresh_tokens (expires_at);

-- Access tokens of `subject` made before `before` are refused; after `until` they have expired.
CREATE TABLE revocations (
    subject TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    before BIGINT NOT NULL,
    until BIGINT NOT NULL
);

-- Those that have expired are found without a look at the others.
CREATE INDEX revocations_until ON revocations (until);
