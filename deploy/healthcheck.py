"""Exits 0 when HEALTH_URL answers 200: the health check of every container of the image.

The image has no curl, and urllib would ask a proxy that the environment names.
"""

from __future__ import annotations

import http.client
import os
import sys
from urllib.parse import urlsplit

TIMEOUT_S = 3


def main() -> int:
    """Asks once; says on stderr what was wrong."""
    url = urlsplit(os.environ.get("HEALTH_URL", "http://127.0.0.1:9464/healthz"))
    connection = http.client.HTTPConnection(url.hostname or "127.0.0.1", url.port or 80, timeout=TIMEOUT_S)
    try:
        connection.request("GET", url.path or "/")
        answer = connection.getresponse()
        text = answer.read(500).decode("utf-8", "replace")
    except (OSError, http.client.HTTPException) as error:
        sys.stderr.write(f"{url.geturl()}: {error}\n")
        return 1
    if answer.status != http.HTTPStatus.OK:
        sys.stderr.write(f"{url.geturl()}: {answer.status} {text}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
