-- Changes of memberships that the nodes are not known to have been told of. user_id: whose; NULL:
-- everybody's.
CREATE TABLE member_changes (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    room TEXT NOT NULL,
    user_id TEXT
);
CREATE INDEX member_changes_room ON member_changes (room);
