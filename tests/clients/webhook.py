"""Verifies messages with the PyPI package `standardwebhooks`, as a receiver does.

Arguments: a file with messages as JSON, then secrets. Each message must be valid with each secret, and none with another body.
Prints the number of messages.
"""

import json
import sys

from standardwebhooks.webhooks import Webhook, WebhookVerificationError

with open(sys.argv[1], encoding="utf-8") as file:
    messages = json.load(file)
for message in messages:
    for secret in sys.argv[2:]:
        webhook = Webhook(secret)
        assert webhook.verify(message["body"], message["headers"]) == json.loads(message["body"])
        try:
            webhook.verify(message["body"].replace("type", "Type"), message["headers"])
        except WebhookVerificationError:
            continue
        raise AssertionError("another body is accepted")
print(len(messages))
