ALTER TABLE cursors DROP COLUMN moved_at;
DROP TRIGGER rooms_changed;
ALTER TABLE rooms DROP COLUMN changed_at;
DROP TRIGGER members_went;
DROP TRIGGER members_changed;
DROP TRIGGER members_came;
DROP TABLE own_changes;
