-- Parts of rooms whose members' devices are being told. after_user: the last member of whom that is
-- done. Whoever works on one has it until leased_until.
CREATE TABLE rounds (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    room TEXT NOT NULL,
    from_epoch INTEGER NOT NULL,
    from_seq INTEGER NOT NULL,
    upto_epoch INTEGER NOT NULL,
    upto_seq INTEGER NOT NULL,
    after_user TEXT NOT NULL,
    leased_until INTEGER NOT NULL,
    lease INTEGER
);

CREATE INDEX rounds_leased ON rounds (leased_until);
CREATE INDEX rounds_lease ON rounds (lease);

-- What a device is told, written before it is. kind 'message': of the messages from from_* on up to
-- this one; 'read': everything up to here was read elsewhere. next_at: when it is to be sent, or was
-- given up by whoever sends it; NULL: never again. cancelled: the device was told that it was read.
CREATE TABLE pushes (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    room TEXT NOT NULL,
    user_id TEXT NOT NULL,
    device TEXT NOT NULL,
    kind TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    from_epoch INTEGER NOT NULL,
    from_seq INTEGER NOT NULL,
    state TEXT NOT NULL,
    reason TEXT,
    attempts INTEGER NOT NULL DEFAULT 0,
    cancelled BOOLEAN NOT NULL DEFAULT FALSE,
    created_at INTEGER NOT NULL,
    ended_at INTEGER,
    next_at INTEGER,
    lease INTEGER,
    UNIQUE (room, user_id, device, kind, epoch, seq)
);

CREATE INDEX pushes_next ON pushes (next_at) WHERE next_at IS NOT NULL;
CREATE INDEX pushes_lease ON pushes (lease) WHERE lease IS NOT NULL;
-- What devices show, as far as is known.
CREATE INDEX pushes_shown ON pushes (room, user_id, device)
WHERE state = 'sent' AND kind = 'message' AND cancelled = FALSE;
CREATE INDEX pushes_shown_since ON pushes (ended_at)
WHERE state = 'sent' AND kind = 'message' AND cancelled = FALSE;
-- What is to be told together with what comes.
CREATE INDEX pushes_waiting ON pushes (room, user_id)
WHERE state = 'waiting' AND kind = 'message';
-- What was told of a message.
CREATE INDEX pushes_place ON pushes (room, epoch, seq);
CREATE INDEX pushes_age ON pushes (created_at);
