"""The pages of docs/reference that are written from the code."""

from collections.abc import Callable, Mapping
from pathlib import Path

from tools.reference import client, command_line, parameters, problems

FOLDER = Path(__file__).parents[2] / "docs/reference"
PAGES: Mapping[str, Callable[[], str]] = {
    "python-client.md": client.page,
    "cli.md": command_line.page,
    "parameters.md": parameters.page,
    "problems.md": problems.page,
}
