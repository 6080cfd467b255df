-- Takes a lock back, if it is still ours. KEYS[1] lock. ARGV: the lock's token.
return redis.call('GET', KEYS[1]) == ARGV[1] and redis.call('DEL', KEYS[1]) or 0
