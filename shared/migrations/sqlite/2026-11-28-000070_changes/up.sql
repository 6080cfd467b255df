-- When what each user sees of its rooms last changed, in ms since 1970. What was said in a room
-- stands in room_heads.
-- Memberships. began_at: when the one that stands now began. gone: there is none any more, or it is
-- a ban.
CREATE TABLE own_changes (
    user_id TEXT NOT NULL,
    room TEXT NOT NULL,
    changed_at INTEGER NOT NULL,
    began_at INTEGER NOT NULL,
    gone BOOLEAN NOT NULL,
    PRIMARY KEY (user_id, room)
) WITHOUT ROWID;
-- What a user has no more since some time, and what is forgotten after a while.
CREATE INDEX own_changes_gone ON own_changes (user_id, changed_at) WHERE gone;
CREATE INDEX own_changes_age ON own_changes (changed_at) WHERE gone;

INSERT INTO own_changes SELECT user_id, room, joined_at, joined_at, FALSE FROM members
WHERE NOT banned;

-- A ban of somebody who has nothing of the room to lose is no change: it must not tell the room's id.
CREATE TRIGGER members_came AFTER INSERT ON members
WHEN NOT NEW.banned OR EXISTS (
    SELECT 1 FROM own_changes WHERE user_id = NEW.user_id AND room = NEW.room
)
BEGIN
    INSERT INTO own_changes (user_id, room, changed_at, began_at, gone) VALUES (
        NEW.user_id, NEW.room,
        CAST(unixepoch('subsec') * 1000 AS INTEGER),
        CAST(unixepoch('subsec') * 1000 AS INTEGER),
        NEW.banned
    )
    ON CONFLICT (user_id, room) DO UPDATE SET
        changed_at = excluded.changed_at,
        began_at = CASE WHEN own_changes.gone THEN excluded.began_at ELSE own_changes.began_at END,
        gone = excluded.gone;
END;
CREATE TRIGGER members_changed AFTER UPDATE ON members
WHEN NOT NEW.banned OR EXISTS (
    SELECT 1 FROM own_changes WHERE user_id = NEW.user_id AND room = NEW.room
)
BEGIN
    INSERT INTO own_changes (user_id, room, changed_at, began_at, gone) VALUES (
        NEW.user_id, NEW.room,
        CAST(unixepoch('subsec') * 1000 AS INTEGER),
        CAST(unixepoch('subsec') * 1000 AS INTEGER),
        NEW.banned
    )
    ON CONFLICT (user_id, room) DO UPDATE SET
        changed_at = excluded.changed_at,
        began_at = CASE WHEN own_changes.gone THEN excluded.began_at ELSE own_changes.began_at END,
        gone = excluded.gone;
END;
CREATE TRIGGER members_went AFTER DELETE ON members WHEN NOT OLD.banned BEGIN
    INSERT INTO own_changes (user_id, room, changed_at, began_at, gone) VALUES (
        OLD.user_id, OLD.room,
        CAST(unixepoch('subsec') * 1000 AS INTEGER), 0, TRUE
    )
    ON CONFLICT (user_id, room) DO UPDATE SET changed_at = excluded.changed_at, gone = TRUE;
END;

-- A room's name, and who may join.
ALTER TABLE rooms ADD COLUMN changed_at INTEGER NOT NULL DEFAULT 0;
CREATE TRIGGER rooms_changed AFTER UPDATE OF name, visibility ON rooms BEGIN
    UPDATE rooms SET changed_at = CAST(unixepoch('subsec') * 1000 AS INTEGER)
    WHERE id = NEW.id;
END;

-- How far one has read.
ALTER TABLE cursors ADD COLUMN moved_at INTEGER NOT NULL DEFAULT 0;
