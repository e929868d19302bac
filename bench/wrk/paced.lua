-- Each connection waits 20 ms after a reply, like a client that polls.
function delay()
    return 20
end
