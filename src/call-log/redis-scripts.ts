import { CLIENT_SEQ_WINDOW, LOG_KEPT_AFTER_END, LOG_KEPT_PAST_EXPIRY, LOG_LENGTH } from './call-log.ts';

/**
 * The steps on a call's log that have to be one, as Lua that Redis runs. All take the same keys:
 *
 * 1. `log`: a stream; the id of an entry is `<seq>-0`, its one field the text of entry-text.ts.
 * 2. `meta`: a hash of `seq`, the newest number, of `version`, and of the signals that were taken: for each
 *    session (`sessionOf`) `<session>:max`, and a ring of `<session>:<clientSeq modulo the window>` with
 *    `clientSeq:at`.
 * 3. `seats`: a hash from user to `joinSeq|seq|token|sessionId`, with the place of the entry that gave it.
 *
 * The three go at the same moment, so a log is there whole or not at all. Numbers of Lua are doubles, which
 * it writes as `1.7e+15`: so the functions here give and take `seq` as text, made with `%.0f`.
 */

/** The hash tag keeps a call's keys on one node of a cluster; `log`, `meta` and `seats` follow, after a colon each. */
export const CALL_PREFIX = 'ringdown:{';

const HELPERS = `
local function now()
  local time = redis.call('TIME')
  return time[1] .. string.format('%03d', math.floor(time[2] / 1000))
end
local function store(log, seq, entry)
  redis.call('XADD', log, 'MAXLEN', '=', '${LOG_LENGTH}', seq .. '-0', 'e', entry)
end`;

const STATE_HELPERS = `${HELPERS}
local function add(seq, channel, entry)
  store(KEYS[1], seq, entry)
  redis.call('PUBLISH', channel, entry)
end
-- The first number of a log is the time in microseconds; what an eviction left of an older one goes.
local function open()
  redis.call('DEL', KEYS[1], KEYS[2], KEYS[3])
  local time = redis.call('TIME')
  return string.format('%.0f', time[1] * 1000000 + time[2])
end
-- From ARGV[first] on, three by three: user, joinSeq (empty: the seat is given up), session.
local function seat(first, seq, token)
  for i = first, #ARGV, 3 do
    if ARGV[i + 1] == '' then
      redis.call('HDEL', KEYS[3], ARGV[i])
    else
      redis.call('HSET', KEYS[3], ARGV[i], table.concat({ ARGV[i + 1], seq, token, ARGV[i + 2] }, '|'))
    end
  end
end
local function keep(ended, expiresAt)
  local soonest = now() + ${LOG_KEPT_AFTER_END}
  local last = ended and soonest or math.max(soonest, expiresAt + ${LOG_KEPT_PAST_EXPIRY})
  for i = 1, 3 do redis.call('PEXPIREAT', KEYS[i], string.format('%.0f', last)) end
end`;

/**
 * ARGV: channel, version, at, 1 where it is the last, expiresAt, token, body, seats. Answers the entry's
 * number, or `known`, `absent`, `gap:<newest version>`.
 */
export const APPEND_STATE = `${STATE_HELPERS}
local channel, version, at, ended, expiresAt, token, body = unpack(ARGV, 1, 7)
local meta = redis.call('HMGET', KEYS[2], 'seq', 'version')
local seq
if not meta[1] then
  if version ~= '1' then return 'absent' end
  seq = open()
else
  if tonumber(version) <= tonumber(meta[2]) then return 'known' end
  if tonumber(version) > meta[2] + 1 then return 'gap:' .. meta[2] end
  seq = string.format('%.0f', meta[1] + 1)
end
redis.call('HSET', KEYS[2], 'seq', seq, 'version', version)
seat(8, seq, token)
add(seq, channel, 's' .. seq .. ' ' .. token .. ' ' .. at .. ' ' .. body)
keep(ended == '1', expiresAt)
return tonumber(seq)`;

/** ARGV: channel, version, expiresAt, token, seats. Changes nothing where there is a log. */
export const CREATE = `${STATE_HELPERS}
local channel, version, expiresAt, token = unpack(ARGV, 1, 4)
if redis.call('EXISTS', KEYS[1], KEYS[2]) == 2 then return 0 end
local seq = open()
redis.call('HSET', KEYS[2], 'seq', seq, 'version', version)
seat(5, seq, token)
add(seq, channel, 'o' .. seq .. ' ' .. token .. ' ' .. now())
keep(false, expiresAt)
return 1`;

/** Arguments of each signal in a step of several. */
export const SIGNAL_ARGUMENTS = 7;

/**
 * Several signals, of any calls, in their order: what one is told does not depend on the others. KEYS: for each what its
 * call's three keys begin with. ARGV: a channel that the sending instance alone hears, or nothing; then of each signal:
 * sender, session, recipient, reach, clientSeq, token, body. Reach, after a `+` where the instance hears the call's channel:
 * `other` (the only other seat), `all` (every other one), `any` (the recipient), or the joinSeq that the recipient has to have.
 *
 * Answers a line with the time, then one for each: `<seq> <sender's joinSeq> <recipient's or -> <+ or -: published>`,
 * `=<at>` of a duplicate, a refusal's name, or `!` and what Redis said where it failed. A repeat is told so before the
 * recipient is looked at, who may have left since it was taken.
 *
 * An entry that nobody but its appender would hear is not published: it would only come back. The appender hears the channel
 * as long as it hears its own over the same connection.
 */
export const APPEND_SIGNALS = `${HELPERS}
local at = now()
local function oneHears(channel)
  return redis.call('PUBSUB', 'NUMSUB', channel)[2] == 1
end
local listens = ARGV[1] ~= '' and oneHears(ARGV[1])
local function append(call, from, session, to, reach, clientSeq, token, body)
  local heard = string.byte(reach) == 43
  if heard then reach = string.sub(reach, 2) end
  local count = tonumber(clientSeq)
  local name = #from .. ':' .. from .. ':' .. session .. ':'
  local maxField, slotField = name .. 'max', name .. count % ${CLIENT_SEQ_WINDOW}
  local meta = redis.call('HMGET', call .. ':meta', 'seq', maxField, slotField)
  if not meta[1] then return 'ABSENT' end
  local seats = redis.call('HMGET', call .. ':seats', from, to)
  if not seats[1] then return 'NO_SEAT' end
  local fromJoinSeq, holder = string.match(seats[1], '^(%d+)|%d+|[^|]*|(.*)$')
  if holder ~= session then return 'STALE_SESSION' end

  local max = tonumber(meta[2] or 0)
  if count <= max - ${CLIENT_SEQ_WINDOW} then return 'TOO_OLD' end
  if meta[3] then
    local taken, takenAt = string.match(meta[3], '^(%d+):(%d+)$')
    if taken == clientSeq then return '=' .. takenAt end
  end

  local tenure
  if reach == 'other' or reach == 'all' then
    local others = redis.call('HLEN', call .. ':seats') - 1
    if others == 0 then return 'NO_RECIPIENT' end
    if others > 1 and reach == 'other' then return 'AMBIGUOUS' end
  else
    tenure = seats[2] and from ~= to and string.match(seats[2], '^%d+')
    if not tenure or (reach ~= 'any' and reach ~= tenure) then return 'NO_RECIPIENT' end
  end

  local seq = string.format('%.0f', meta[1] + 1)
  tenure = tenure or '-'
  local entry = table.concat({ 'g' .. seq, token, at, fromJoinSeq, tenure, body }, ' ')
  local channel = 'call:' .. string.sub(call, ${CALL_PREFIX.length + 1}, -2)
  redis.call('HSET', call .. ':meta', 'seq', seq, slotField, clientSeq .. ':' .. at, maxField, math.max(max, count))
  store(call .. ':log', seq, entry)
  local alone = heard and listens and oneHears(channel)
  if not alone then redis.call('PUBLISH', channel, entry) end
  return seq .. ' ' .. fromJoinSeq .. ' ' .. tenure .. ' ' .. (alone and '-' or '+')
end
local answers = { at }
for i = 1, #KEYS do
  local first = (i - 1) * ${SIGNAL_ARGUMENTS} + 2
  local done, answer = pcall(append, KEYS[i], unpack(ARGV, first, first + ${SIGNAL_ARGUMENTS - 1}))
  if not done then
    answer = '!' .. string.gsub(tostring(type(answer) == 'table' and answer.err or answer), '%c', ' ')
  end
  answers[i + 1] = answer
end
return table.concat(answers, '\\n')`;

/** Answers nothing where there is no log, else: version, number and token of the newest entry, seats. */
export const HEAD = `
local version = redis.call('HGET', KEYS[2], 'version')
local newest = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1]
if not version or not newest then return false end
local seq, token = string.match(newest[2][2], '^%a(%d+) (%S+)')
return { version, seq, token, redis.call('HGETALL', KEYS[3]) }`;
