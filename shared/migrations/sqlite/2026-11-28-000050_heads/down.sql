DROP TABLE room_heads;
