"""What Redis does in one step: Lua scripts over the leases of one count.

    leases     sorted set: lease id -> when it expires
    waits      hash: process -> `since:seen:refused`: when its oldest call began to wait, when it
               last said so, whether it was refused once in favour of an older one
    answering  set: leases whose call has its first token
    proven     the most calls that were seen to answer at the same time
    released   one key for a lease that was given back before it was taken

All times are Redis' own, in milliseconds, so that the clocks of the machines do not matter. Every
script may be repeated.
"""

from __future__ import annotations

from typing import Final

WAIT_SEEN_MS: Final = 2_000
OLDER_BY_MS: Final = 1_000
PROVEN_S: Final = 60

_NOW = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local function ms(value) return string.format('%.0f', value) end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
"""

ACQUIRE: Final = f"""{_NOW}
-- KEYS leases waits released proven
-- ARGV lease, lease_ms, limit, is_learned, process, wait_ms, next_wait_ms, channel, name, freed...
if redis.call('EXISTS', KEYS[3]) == 1 then return {{3, redis.call('ZCARD', KEYS[1]), 0}} end
local freed = 0
for i = 10, #ARGV do freed = freed + redis.call('ZREM', KEYS[1], ARGV[i]) end
local count = redis.call('ZCARD', KEYS[1])
local limit, proven = tonumber(ARGV[3]), 0
if ARGV[4] == '1' then
  proven = tonumber(redis.call('GET', KEYS[4]) or 0)
  limit = math.max(limit, proven)
end
local since, refused, older = now - tonumber(ARGV[6]), '0', false
local waits = redis.call('HGETALL', KEYS[2])
for i = 1, #waits, 2 do
  local began, seen, flag = string.match(waits[i + 1], '^(%d+):(%d+):(%d)$')
  if waits[i] == ARGV[5] then refused = flag
  elseif tonumber(seen) < now - {WAIT_SEEN_MS} then redis.call('HDEL', KEYS[2], waits[i])
  elseif tonumber(began) + {OLDER_BY_MS} < since then older = true end
end
local state = 1
if count >= limit then state = 0 elseif older and refused == '0' then state, refused = 2, '1' end
if state == 1 then
  redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[1])
  redis.call('PEXPIRE', KEYS[1], ARGV[2] * 2)
  count, refused, since = count + 1, '0', now - tonumber(ARGV[7])
  if tonumber(ARGV[7]) < 0 then redis.call('HDEL', KEYS[2], ARGV[5]) end
end
if state ~= 1 or tonumber(ARGV[7]) >= 0 then
  redis.call('HSET', KEYS[2], ARGV[5], ms(since) .. ':' .. ms(now) .. ':' .. refused)
  redis.call('PEXPIRE', KEYS[2], {WAIT_SEEN_MS})
end
if freed > 0 and state == 2 then redis.call('PUBLISH', ARGV[8], ARGV[9] .. '\\n' .. count) end
return {{state, count, proven}}
"""
"""Acquire a slot. Returns 1 taken, 0 none free, 2 left to a process whose call waits for longer, 3
it was given back already; then how many are taken, and `proven`. `freed` leases end in the same
step."""

ENTER: Final = f"""{_NOW}
-- KEYS leases released
-- ARGV lease, lease_ms, limit, freed...
if redis.call('EXISTS', KEYS[2]) == 1 then return {{0, 0}} end
for i = 4, #ARGV do redis.call('ZREM', KEYS[1], ARGV[i]) end
local members = redis.call('ZRANGE', KEYS[1], 0, -1)
local tokens = 0
for _, member in ipairs(members) do
  tokens = tokens + tonumber(string.match(member, ':(%d+)$') or 0)
end
if tonumber(ARGV[3]) > 0 and #members >= tonumber(ARGV[3]) then return {{0, tokens}} end
redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[2] * 2)
return {{1, tokens}}
"""
"""Count a call of a key, unless `limit` (0: none) are counted. Returns whether it was, and the
tokens that the calls before it expect."""

RELEASE: Final = f"""{_NOW}
-- KEYS leases waits answering
-- ARGV channel, name, prefix of released, lease_ms, lease...
for i = 5, #ARGV do
  if redis.call('ZREM', KEYS[1], ARGV[i]) == 0 then
    redis.call('SET', ARGV[3] .. ARGV[i], 1, 'PX', ARGV[4])
  end
  redis.call('SREM', KEYS[3], ARGV[i])
end
local count, waiting = redis.call('ZCARD', KEYS[1]), redis.call('HLEN', KEYS[2])
if waiting > 0 then redis.call('PUBLISH', ARGV[1], ARGV[2] .. '\\n' .. count) end
return {{count, waiting}}
"""
"""Release leases. Returns how many are taken now, and how many processes have calls that wait."""

RENEW: Final = f"""{_NOW}
-- KEYS leases
-- ARGV lease_ms, lease...
local lapsed = 0
for i = 2, #ARGV do
  lapsed = lapsed + redis.call('ZADD', KEYS[1], now + ARGV[1], ARGV[i])
end
redis.call('PEXPIRE', KEYS[1], ARGV[1] * 2)
return lapsed
"""
"""Renew leases. Returns how many had expired meanwhile; they count again."""

OBSERVE: Final = f"""{_NOW}
-- KEYS leases waits proven
-- ARGV process, wait_ms
if tonumber(ARGV[2]) >= 0 then
  local refused = '0'
  local before = redis.call('HGET', KEYS[2], ARGV[1])
  if before then refused = string.sub(before, -1) end
  local since = ms(now - tonumber(ARGV[2]))
  redis.call('HSET', KEYS[2], ARGV[1], since .. ':' .. ms(now) .. ':' .. refused)
  redis.call('PEXPIRE', KEYS[2], {WAIT_SEEN_MS})
else
  redis.call('HDEL', KEYS[2], ARGV[1])
end
return {{redis.call('ZCARD', KEYS[1]), tonumber(redis.call('GET', KEYS[3]) or 0)}}
"""
"""Record for how long the oldest call here waits (-1: none does). Returns how many slots are taken,
and `proven`."""

ANSWERED: Final = f"""{_NOW}
-- KEYS leases answering proven
-- ARGV lease
if redis.call('ZSCORE', KEYS[1], ARGV[1]) then redis.call('SADD', KEYS[2], ARGV[1]) end
local count = 0
for _, lease in ipairs(redis.call('SMEMBERS', KEYS[2])) do
  if redis.call('ZSCORE', KEYS[1], lease) then count = count + 1
  else redis.call('SREM', KEYS[2], lease) end
end
redis.call('EXPIRE', KEYS[2], 3600)
if count > 0 and count >= tonumber(redis.call('GET', KEYS[3]) or 0) then
  redis.call('SET', KEYS[3], count, 'EX', {PROVEN_S})
end
return count
"""
"""Note that a call has its first token. Returns how many answer at this moment."""
