DROP INDEX revocations_until;
