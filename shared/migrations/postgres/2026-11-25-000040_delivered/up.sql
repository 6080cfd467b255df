-- How far each device of a member was given a room's messages; only ever moves forward. device: the
-- installation; empty: all that name none.
CREATE TABLE delivered (
    room TEXT COLLATE "C" NOT NULL,
    user_id TEXT COLLATE "C" NOT NULL,
    device TEXT COLLATE "C" NOT NULL,
    epoch BIGINT NOT NULL,
    seq BIGINT NOT NULL,
    PRIMARY KEY (room, user_id, device)
);
