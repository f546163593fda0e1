"""The events' page against their schemas. That a listener with the page's rule hears them, `make rehearse` shows."""

import json
import re
from pathlib import Path
from typing import Any

from local.cloudformation.intrinsics import load

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/reference/events.md").read_text()
SCHEMAS = {path.stem: json.loads(path.read_text()) for path in (ROOT / "events/schemas").glob("*.json")}


def rule() -> dict[str, Any]:
    """The rule that the page gives to copy."""
    [block] = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    found: dict[str, Any] = load(block)["ConnectionEvents"]["Properties"]
    return found


def test_the_page_lists_every_event_with_its_own_fields() -> None:
    rows = re.findall(r"^\| `(\w+\.\w+)` \|.*\| (.*?) ?\|$", PAGE, re.MULTILINE)
    everywhere = {"id", "sequence", "at", "tenant_id", "connection_id", "version"}

    assert {name: set(re.findall(r"`(\w+)`", more)) for name, more in rows} == {
        name: set(schema["properties"]["detail"]["properties"]) - everywhere for name, schema in SCHEMAS.items()
    }
    assert set(rule()["EventPattern"]["detail-type"]) <= SCHEMAS.keys()
