"""A function that answers with the event it got, or with what the request's header `x-answer` holds as JSON."""

import json
from typing import Any


def handler(event: dict[str, Any], _context: object) -> Any:
    """Answer; `"raise"` raises."""
    answer = json.loads(event["headers"].get("x-answer", "null"))
    if answer == "raise":
        raise RuntimeError("as asked")
    told = {"statusCode": 200, "headers": {"content-type": "application/json"}, "body": json.dumps(event)}
    return told if answer is None else answer
