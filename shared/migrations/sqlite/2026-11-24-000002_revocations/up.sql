-- Those that have expired are found without a look at the others.
CREATE INDEX revocations_until ON revocations (until);
