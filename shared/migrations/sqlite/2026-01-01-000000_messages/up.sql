-- "Moim": tells a database of ours from one of another program.
PRAGMA application_id = 1299147117;

-- A rowid table: rows are appended, and only the two narrow trees are written all over. Rows in the
-- order of the key would read faster, but cost a third more at each insert. The body is last, so
-- that what is in front of it is read without following a long one; one that is text is TEXT.
CREATE TABLE messages (
    room TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    origin_id TEXT,
    sender TEXT NOT NULL,
    sent_at INTEGER NOT NULL,
    content_type TEXT,
    sender_name TEXT,
    is_binary BOOLEAN NOT NULL,
    headers TEXT,
    body_hash INTEGER NOT NULL,
    body BLOB NOT NULL,
    PRIMARY KEY (room, epoch, seq)
);

-- Partial, so that a message without a name costs nothing here.
CREATE UNIQUE INDEX messages_name ON messages (room, sender, origin_id)
WHERE origin_id IS NOT NULL;

-- Numbers that are spent and show nothing. kind 'duplicate': the name stands at first_*.
CREATE TABLE marks (
    room TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    kind TEXT NOT NULL,
    first_epoch INTEGER,
    first_seq INTEGER,
    PRIMARY KEY (room, epoch, seq)
) WITHOUT ROWID;

CREATE TABLE epochs (
    room TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    sealed_last INTEGER,
    PRIMARY KEY (room, epoch)
) WITHOUT ROWID;

CREATE TABLE rooms (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT,
    visibility TEXT NOT NULL DEFAULT 'private',
    created_at INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE members (
    room TEXT NOT NULL REFERENCES rooms (id) ON DELETE CASCADE,
    user_id TEXT NOT NULL,
    name TEXT,
    role TEXT NOT NULL DEFAULT 'member',
    source TEXT NOT NULL,
    joined_at INTEGER NOT NULL,
    banned BOOLEAN NOT NULL DEFAULT FALSE,
    PRIMARY KEY (room, user_id)
) WITHOUT ROWID;
