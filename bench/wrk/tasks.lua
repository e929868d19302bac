-- Requests the tasks whose ids are the arguments, one after the other, like many clients that poll their own tasks. An id may
-- be followed by a comma and the ETag that the client has.
local requests, last = {}, 0

function init(tasks)
    for index, task in ipairs(tasks) do
        local id, etag = task:match("^(%d+),?(.*)$")
        local headers = {}
        for name, value in pairs(wrk.headers) do
            headers[name] = value
        end
        if etag ~= "" then
            headers["If-None-Match"] = etag
        end
        requests[index] = wrk.format("GET", "/api/tasks/" .. id, headers)
    end
end

function request()
    last = last % #requests + 1
    return requests[last]
end
