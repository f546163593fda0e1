"""Two rehearsals of one clone would write over each other's files."""

import subprocess
import sys
from pathlib import Path

from tests.deployment.template.stack import ROOT

CLAIM = """
import sys
from pathlib import Path
from tools.rehearse.environment import claim
with claim(Path(sys.argv[1])):
    print("mine", flush=True)
    sys.stdin.read()
"""


def test_a_rehearsal_refuses_to_run_beside_another_until_that_has_ended(tmp_path: Path) -> None:
    command = [sys.executable, "-c", CLAIM, str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "mine\n"
        refused = subprocess.run(command, cwd=ROOT, input="", capture_output=True, text=True, check=False)
        first.kill()
    after = subprocess.run(command, cwd=ROOT, input="", capture_output=True, text=True, check=False)

    assert (refused.returncode, refused.stdout) == (1, "")
    assert "wait until it has ended" in refused.stderr
    assert after.stdout == "mine\n"
