"""Put a release together in dist/: what `sam deploy` takes, and the wheels of client, command line and emulator."""

import re
import subprocess
import sys
import tarfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
DIST = ROOT / "dist"


def versions() -> dict[str, str]:
    """Give every place that says which release this is."""
    read = {
        "template.yaml": r"SemanticVersion: (\S+)",
        "cli/pyproject.toml": r'^version = "(.+)"',
        "emulator/pyproject.toml": r'^version = "(.+)"',
        "clients/python/pyproject.toml": r'^version = "(.+)"',
        "CHANGELOG.md": r"^## (\d+\.\d+\.\d+)",
    }
    found = {name: re.search(pattern, (ROOT / name).read_text(), re.MULTILINE) for name, pattern in read.items()}
    return {name: match[1] for name, match in found.items() if match}


def main(tag: str) -> int:
    """Package, if the tag names the release that the files name."""
    said = versions()
    (version, *others) = sorted(set(said.values()))
    if others or (tag.startswith("v") and tag != f"v{version}"):
        print(f"The tag {tag} and the files do not name one release: {said}", file=sys.stderr)
        return 1
    DIST.mkdir(exist_ok=True)
    with tarfile.open(DIST / f"ninjaone-connect-{version}.tar.gz", "w:gz") as archive:
        archive.add(ROOT / ".aws-sam/build", arcname=f"ninjaone-connect-{version}")
        for optional in ("stacks/dashboard.yaml", "stacks/firewall.yaml"):
            archive.add(ROOT / optional, arcname=f"ninjaone-connect-{version}/{optional}")
    for package in ("clients/python", "cli", "emulator"):
        command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
        subprocess.run([*command, "--wheel-dir", str(DIST), str(ROOT / package)], check=True)
    print("\n".join(sorted(path.name for path in DIST.iterdir())))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
