-- As in Postgres, where it tells what closed the epochs below. Here an epoch is always begun.
ALTER TABLE epochs ADD COLUMN begun BOOLEAN NOT NULL DEFAULT TRUE;
