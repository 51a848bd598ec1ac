"""The headers of Standard Webhooks (https://www.standardwebhooks.com), with which a receiver knows the sender."""

import hmac
from base64 import b64encode


def webhook_headers(key: bytes | None, message_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The identity of a message and the time of this attempt, signed where there is a key."""
    headers = {"webhook-id": message_id, "webhook-timestamp": str(timestamp)}
    if key is not None:
        digest = hmac.digest(key, f"{message_id}.{timestamp}.".encode() + body, "sha256")
        headers["webhook-signature"] = f"v1,{b64encode(digest).decode()}"
    return headers
