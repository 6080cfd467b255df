DROP TABLE pushes;
DROP TABLE rounds;
