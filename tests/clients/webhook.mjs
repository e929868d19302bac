// Verifies messages with the npm package `standardwebhooks`, as a receiver does.
// Arguments: the module, a file with messages as JSON, then secrets. Each message must be valid with each secret, and none
// with another body. Prints the number of messages.

import { readFileSync } from "node:fs";
const [module, file, ...secrets] = process.argv.slice(2);
const { Webhook } = (await import(module)).default;
const messages = JSON.parse(readFileSync(file, "utf8"));
for (const { headers, body } of messages) {
  for (const secret of secrets) {
    const webhook = new Webhook(secret);
    const event = webhook.verify(body, headers);
    if (JSON.stringify(event) !== JSON.stringify(JSON.parse(body))) throw new Error(body);
    let refused = false;
    try {
      webhook.verify(body.replace("type", "Type"), headers);
    } catch {
      refused = true;
    }
    if (!refused) throw new Error("another body is accepted");
  }
}
console.log(messages.length);
