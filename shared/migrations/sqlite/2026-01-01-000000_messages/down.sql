DROP TABLE members;
DROP TABLE rooms;
DROP TABLE epochs;
DROP TABLE marks;
DROP TABLE messages;
PRAGMA application_id = 0;
