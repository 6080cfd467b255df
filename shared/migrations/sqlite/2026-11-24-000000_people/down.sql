DROP TABLE revocations;
DROP TABLE refresh_tokens;
DROP TABLE accounts;
DROP TABLE cursors;
DROP INDEX members_user;
ALTER TABLE members DROP COLUMN muted_until;
ALTER TABLE rooms DROP COLUMN deleted_at;
ALTER TABLE rooms DROP COLUMN direct;
