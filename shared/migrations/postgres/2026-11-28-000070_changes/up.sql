-- When what each user sees of its rooms last changed, in ms since 1970 by the clock of this database,
-- which is one for all processes. What was said in a room stands in room_heads.
-- In a rolling upgrade older programs write on meanwhile: what they do waits until it is noted. In the
-- order in which they take these, and as much as is needed further down at once, so that nobody waits
-- in a circle.
LOCK TABLE rooms IN ACCESS EXCLUSIVE MODE;
LOCK TABLE members IN SHARE ROW EXCLUSIVE MODE;
LOCK TABLE cursors IN ACCESS EXCLUSIVE MODE;

CREATE FUNCTION clock_ms() RETURNS BIGINT LANGUAGE sql VOLATILE
AS 'SELECT (extract(epoch FROM clock_timestamp()) * 1000)::BIGINT';

-- Memberships. began_at: when the one that stands now began. gone: there is none any more, or it is
-- a ban.
CREATE TABLE own_changes (
    user_id TEXT COLLATE "C" NOT NULL,
    room TEXT COLLATE "C" NOT NULL,
    changed_at BIGINT NOT NULL,
    began_at BIGINT NOT NULL,
    gone BOOLEAN NOT NULL,
    PRIMARY KEY (user_id, room)
);
-- What a user has no more since some time, and what is forgotten after a while.
CREATE INDEX own_changes_gone ON own_changes (user_id, changed_at) WHERE gone;
CREATE INDEX own_changes_age ON own_changes (changed_at) WHERE gone;

INSERT INTO own_changes SELECT user_id, room, joined_at, joined_at, FALSE FROM members
WHERE NOT banned;

-- A ban of somebody who has nothing of the room to lose is no change: it must not tell the room's id.
-- Once for each statement, since the end of a room ends thousands of memberships. In one order, so
-- that two do not wait for each other in a circle.
CREATE FUNCTION note_members() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        INSERT INTO own_changes (user_id, room, changed_at, began_at, gone)
        SELECT user_id, room, clock_ms(), 0, TRUE FROM changed WHERE NOT banned
        ORDER BY user_id, room
        ON CONFLICT (user_id, room) DO UPDATE SET changed_at = excluded.changed_at, gone = TRUE;
    ELSE
        INSERT INTO own_changes AS known (user_id, room, changed_at, began_at, gone)
        SELECT user_id, room, clock_ms(), clock_ms(), banned FROM changed
        WHERE NOT banned OR EXISTS (
            SELECT FROM own_changes AS own
            WHERE own.user_id = changed.user_id AND own.room = changed.room
        )
        ORDER BY user_id, room
        ON CONFLICT (user_id, room) DO UPDATE SET
            changed_at = excluded.changed_at,
            began_at = CASE WHEN known.gone THEN excluded.began_at ELSE known.began_at END,
            gone = excluded.gone;
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER members_came AFTER INSERT ON members REFERENCING NEW TABLE AS changed
FOR EACH STATEMENT EXECUTE FUNCTION note_members();
CREATE TRIGGER members_changed AFTER UPDATE ON members REFERENCING NEW TABLE AS changed
FOR EACH STATEMENT EXECUTE FUNCTION note_members();
CREATE TRIGGER members_went AFTER DELETE ON members REFERENCING OLD TABLE AS changed
FOR EACH STATEMENT EXECUTE FUNCTION note_members();

-- A room's name, and who may join.
ALTER TABLE rooms ADD COLUMN changed_at BIGINT NOT NULL DEFAULT 0;
CREATE FUNCTION note_room() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    NEW.changed_at := clock_ms();
    RETURN NEW;
END
$$;
CREATE TRIGGER rooms_changed BEFORE UPDATE OF name, visibility ON rooms
FOR EACH ROW EXECUTE FUNCTION note_room();

-- How far one has read.
ALTER TABLE cursors ADD COLUMN moved_at BIGINT NOT NULL DEFAULT 0;
-- Of programs that do not know it: who does sets it with the rest, and nothing more is done.
ALTER TABLE cursors ALTER COLUMN moved_at SET DEFAULT clock_ms();
CREATE FUNCTION note_cursor() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    NEW.moved_at := clock_ms();
    RETURN NEW;
END
$$;
CREATE TRIGGER cursors_moved BEFORE UPDATE OF epoch, seq ON cursors
FOR EACH ROW WHEN (NEW.moved_at = OLD.moved_at) EXECUTE FUNCTION note_cursor();
