-- Changes of memberships that the nodes are not known to have been told of. user_id: whose; NULL:
-- everybody's.
CREATE TABLE member_changes (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    room TEXT COLLATE "C" NOT NULL,
    user_id TEXT COLLATE "C"
);
CREATE INDEX member_changes_room ON member_changes (room);
