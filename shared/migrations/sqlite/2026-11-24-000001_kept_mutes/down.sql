DROP TABLE kept_mutes;
