-- Each request asks for the next of the tasks whose ids are the arguments: many clients that poll, each for its own.
local requests, last = {}, 0

function init(ids)
    for place, id in ipairs(ids) do
        requests[place] = wrk.format("GET", "/api/tasks/" .. id)
    end
end

function request()
    last = last % #requests + 1
    return requests[last]
end
