// Reads a number of events with EventSource, as a page does: with a ticket, and through broken connections.
// Arguments: the module with EventSource, the base URL, a token, the number of events. Prints the type of each.

const [module, url, token, count] = process.argv.slice(2);
const { EventSource } = await import(module);
const reply = await fetch(`${url}/api/events/tickets`, { method: "POST", headers: { Authorization: `Bearer ${token}` } });
const { ticket } = await reply.json();
const source = new EventSource(`${url}/api/events/stream?after=0&ticket=${encodeURIComponent(ticket)}`);
let seen = 0;
source.onmessage = (message) => {
  const event = JSON.parse(message.data);
  if (message.lastEventId !== String(event.id)) throw new Error(`${message.lastEventId} is not ${event.id}`);
  console.log(event.type);
  seen += 1;
  if (seen === Number(count)) source.close();
};
source.onerror = (error) => {
  if (source.readyState === EventSource.CLOSED && seen < Number(count)) {
    console.error("the stream was refused", error.code, error.message);
    process.exit(1);
  }
};
