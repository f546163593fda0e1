"""Put a release together in dist/: what `sam deploy` takes, and the wheels."""

import re
import subprocess
import sys
import tarfile
from io import BytesIO
from pathlib import Path

ROOT = Path(__file__).parents[1]
DIST = ROOT / "dist"
BESIDE = (
    "samconfig.example.toml",
    *(f"stacks/{name}" for name in ("dashboard.yaml", "firewall.yaml", "people.yaml", "policy.json")),
)
"""What a deployment may want beside the template."""

PACKAGES = ("clients/python", "layers/broker", "cli", "emulator")


def versions() -> dict[str, str]:
    """Return every place that says which release this is."""
    read = {
        "template.yaml": r"SemanticVersion: (\S+)",
        "layers/broker/pyproject.toml": r'^version = "(.+)"',
        "cli/src/ninjaone_connect_cli/__init__.py": r'^__version__ = "(.+)"',
        "cli/pyproject.toml": r'"ninjaone-connect-broker==(.+)"',
        "emulator/pyproject.toml": r'^version = "(.+)"',
        "clients/python/pyproject.toml": r'^version = "(.+)"',
        "CHANGELOG.md": r"^## (\d+\.\d+\.\d+)",
    }
    found = {name: re.search(pattern, (ROOT / name).read_text(), re.MULTILINE) for name, pattern in read.items()}
    return {name: match[1] for name, match in found.items() if match}


def archive(built: Path, version: str, folder: Path) -> Path:
    """Archive what `sam build` made, so that it can be deployed from where it is unpacked; return the archive.

    The built template names the texts beside it by their place in this repository, two folders up. The archive has them
    in its own.
    """
    name, texts = f"ninjaone-connect-{version}", ("LICENSE", "README.md")
    template = (built / "template.yaml").read_text(encoding="utf-8")
    for text in texts:
        template = template.replace(f"../../{text}", text)
    made = folder / f"{name}.tar.gz"
    with tarfile.open(made, "w:gz") as packed:
        for path in sorted(built.iterdir()):
            if path.name != "template.yaml":
                packed.add(path, arcname=f"{name}/{path.name}")
        _add(packed, f"{name}/template.yaml", template.encode())
        for other in (*texts, *BESIDE):
            packed.add(ROOT / other, arcname=f"{name}/{other}")
    return made


def _add(packed: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    packed.addfile(entry, BytesIO(content))


def main(tag: str) -> int:
    """Package, if the tag names the release that the files name."""
    said = versions()
    (version, *others) = sorted(set(said.values()))
    if others or (tag.startswith("v") and tag != f"v{version}"):
        print(f"The tag {tag} and the files do not name one release: {said}", file=sys.stderr)
        return 1
    DIST.mkdir(exist_ok=True)
    archive(ROOT / ".aws-sam/build", version, DIST)
    for package in PACKAGES:
        command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
        subprocess.run([*command, "--wheel-dir", str(DIST), str(ROOT / package)], check=True)
    print("\n".join(sorted(path.name for path in DIST.iterdir())))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
