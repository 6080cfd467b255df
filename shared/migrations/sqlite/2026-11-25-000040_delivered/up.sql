-- How far each device of a member was given a room's messages; only ever moves forward. device: the
-- installation; empty: all that name none.
CREATE TABLE delivered (
    room TEXT NOT NULL,
    user_id TEXT NOT NULL,
    device TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    PRIMARY KEY (room, user_id, device)
) WITHOUT ROWID;
