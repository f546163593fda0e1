"""What importing the client costs, beside httpx and botocore, which its users have anyway."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROGRAM = """
import sys
import httpx, botocore.session, botocore.auth, botocore.awsrequest, botocore.credentials
before = set(sys.modules)
import ninjaone_connect
print(*sorted(set(sys.modules) - before))
"""


def test_importing_the_client_imports_itself_and_a_little_of_the_standard_library() -> None:
    """Counted in modules, since a clock would tell of this machine: about a millisecond each."""
    command = [sys.executable, "-c", PROGRAM]
    path = {"PYTHONPATH": str(ROOT / "clients/python/src")}
    found = subprocess.run(command, env=path, capture_output=True, text=True, check=True).stdout.split()

    foreign = [name for name in found if not name.startswith("ninjaone_connect")]

    assert {name.partition(".")[0] for name in foreign} <= sys.stdlib_module_names
    assert len(found) <= 60, found


def test_the_client_says_that_it_is_typed() -> None:
    assert (ROOT / "clients/python/src/ninjaone_connect/py.typed").is_file()
