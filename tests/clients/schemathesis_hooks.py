"""The media type of tus: bytes as they are."""

import schemathesis


@schemathesis.serializer("application/offset+octet-stream")
def octets(ctx, value):
    """Sends bytes, and the text of anything else."""
    return value if isinstance(value, bytes) else str(value).encode()
