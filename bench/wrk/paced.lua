-- Each connection waits 20 ms after an answer: clients that poll, not a load test.
function delay()
    return 20
end
