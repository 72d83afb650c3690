-- Sends the request template that bench/traffic.py makes, with a new key in each slot.
-- Arguments: template file, prefix of the keys, number of distinct requests (0: never repeat), keys per request.

local pieces, slots = {}, {}
local prefix, distinct, per
local n = 0

function init(args)
  local file = assert(io.open(args[1], "rb"))
  local template = file:read("*a")
  file:close()
  prefix, distinct, per = args[2], tonumber(args[3]), tonumber(args[4])
  local from = 1
  while true do
    local first, last, slot = template:find("@(%d+)@", from)
    if not first then break end
    pieces[#pieces + 1] = template:sub(from, first - 1)
    pieces[#pieces + 1] = ""
    slots[#slots + 1] = { at = #pieces, key = tonumber(slot) }
    from = last + 1
  end
  pieces[#pieces + 1] = template:sub(from)
end

function request()
  local turn = n
  if distinct > 0 then turn = n % distinct end
  n = n + 1
  for i = 1, #slots do
    pieces[slots[i].at] = prefix .. string.format("%08x", turn * per + slots[i].key)
  end
  return table.concat(pieces)
end

function done(summary, latency, requests)
  local wrong = summary.errors
  io.write(string.format(
    'RESULT {"answers": %d, "refused": %d, "broken": %d, "seconds": %.6f, "p50": %.3f, "p99": %.3f, "slowest": %.3f}\n',
    summary.requests, wrong.status, wrong.connect + wrong.read + wrong.write + wrong.timeout, summary.duration / 1e6,
    latency:percentile(50) / 1000, latency:percentile(99) / 1000, latency.max / 1000))
end
