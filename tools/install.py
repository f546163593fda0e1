"""Install locked requirement files into this interpreter's environment, with one line that says how far it is.

Exactly what the files name, by hash, and as built packages only: nothing that is downloaded runs during the install.
"""

import re
import subprocess
import sys
from pathlib import Path

PIP = ("-m", "pip", "install", "--disable-pip-version-check", "--no-deps", "--require-hashes", "--only-binary", ":all:")


def install(title: str, options: list[str]) -> int:
    """Run pip; show its words only when it fails."""
    files = [Path(option) for option in options if option.endswith(".txt")]
    count = sum(len(re.findall(r"^[\w.-]+==", file.read_text(), re.MULTILINE)) for file in files)
    said, done = list[str](), 0
    command = [sys.executable, *PIP, *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as pip:
        for line in pip.stdout or ():
            said.append(line)
            done += line.startswith("Collecting ")
            show(f"{title}: {done} of {count}", last=False)
    show(f"{title}: done" if pip.returncode == 0 else f"{title}: pip failed", last=True)
    if pip.returncode:
        sys.stderr.writelines(said[-20:])
    return pip.returncode


def show(text: str, *, last: bool) -> None:
    """Keep to one line on a terminal; elsewhere say only how it ended."""
    if sys.stdout.isatty():
        print(f"\r{text}\033[K", end="\n" if last else "", flush=True)
    elif last:
        print(text, flush=True)


if __name__ == "__main__":
    given = [part for each in sys.argv[2:] for part in (["-r", each] if each.endswith(".txt") else [each])]
    sys.exit(install(sys.argv[1], given))
