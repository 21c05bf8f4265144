-- Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0
-- For wrk: one fixed request, signed beforehand and rendered once; nothing is computed per request. The request comes in
-- the environment: LOAD_METHOD, LOAD_BODY (a file, may be empty), LOAD_HEADERS (a file, "Name: value" lines).
-- Ends with one line of JSON.

wrk.method = os.getenv("LOAD_METHOD")

local function read(name)
	local path = os.getenv(name)
	if path == nil or path == "" then
		return nil
	end
	local file = assert(io.open(path, "rb"))
	local text = file:read("*a")
	file:close()
	return text
end

wrk.body = read("LOAD_BODY")
for name, value in (read("LOAD_HEADERS") or ""):gmatch("([^:\n]+): ([^\n]*)\n") do
	wrk.headers[name] = value
end

function done(summary, latency, requests)
	local e = summary.errors
	io.write(string.format(
		'RESULT {"requests":%d,"duration_us":%d,"p50_us":%d,"p99_us":%d,"errors":%d,"bad_status":%d}\n',
		summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
		e.connect + e.read + e.write + e.timeout, e.status))
end
