-- Logins with a wrong password, each from another address and for another user, so that no throttle answers in place of
-- the password check. The addresses are in the header X-Forwarded-For, which the service is configured to trust.
local threads, sent = {}, 0
wrong, other = 0, 0

function setup(thread)
    threads[#threads + 1] = thread
end

function request()
    sent = sent + 1
    local address = string.format("10.%d.%d.%d", math.floor(sent / 65536) % 256, math.floor(sent / 256) % 256, sent % 256)
    local body = string.format('{"username": "flood-%d", "password": "wrong-password"}', sent % 5000)
    local head = { ["Content-Type"] = "application/json", ["X-Forwarded-For"] = address }
    return wrk.format("POST", "/api/auth/login", head, body)
end

function response(status)
    if status == 401 then wrong = wrong + 1 else other = other + 1 end
end

function done()
    local checked, refused = 0, 0
    for _, thread in ipairs(threads) do
        checked = checked + thread:get("wrong")
        refused = refused + thread:get("other")
    end
    print(string.format("Checked: %d  Refused: %d", checked, refused))
end
