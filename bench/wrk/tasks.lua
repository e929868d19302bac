-- Requests the tasks whose ids are the arguments, one after the other, like many clients that poll their own tasks.
local requests, last = {}, 0

function init(ids)
    for index, id in ipairs(ids) do
        requests[index] = wrk.format("GET", "/api/tasks/" .. id)
    end
end

function request()
    last = last % #requests + 1
    return requests[last]
end
