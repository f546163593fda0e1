"""The page of the template's parameters."""

from pathlib import Path
from typing import Any

from local.cloudformation.intrinsics import load

TEMPLATE = Path(__file__).parents[2] / "template.yaml"
HEAD = """# Parameters

Written from `template.yaml` by `python -m tools.reference`; a test compares it. Two have no default and must be given.
Which ones you will want, and why, is in [deploy.md](../operate/deploy.md).

| parameter | default | what it means |
|---|---|---|
"""


def page() -> str:
    """Write the page."""
    return HEAD + "".join(
        map(_row, *zip(*load(TEMPLATE.read_text(encoding="utf-8"))["Parameters"].items(), strict=True))
    )


def _row(name: str, parameter: dict[str, Any]) -> str:
    default = parameter.get("Default")
    shown = "must be given" if default is None else f"`{default}`" if default != "" else "empty"
    allowed = parameter.get("AllowedValues")
    choices = f" One of {', '.join(f'`{each}`' for each in allowed)}." if allowed else ""
    return f"| `{name}` | {shown} | {parameter['Description'].strip()}{choices} |\n"
