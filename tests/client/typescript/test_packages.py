"""Both clients as they would be published: built, laid into empty folders, and used there."""

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.client.typescript.conftest import CLIENT, NODE, ROOT, run

pytestmark = pytest.mark.slow

PYTHON = "from ninjaone_connect import Connect, NinjaOneAuth, pages; print(Connect.__module__, pages.__module__)"
TYPED = """
import { Connect, ninjaOne, pages, type NinjaOneFetch } from "ninjaone-connect";
const connect = new Connect("https://broker.example", { region: "eu-west-1" });
const ways: NinjaOneFetch[] = [connect.ninjaOne("t", "c"), ninjaOne(connect, "t", "c")];
export const lists = ways.map((send) => pages<{ id: number }>(send, "/v2/devices"));
console.log(typeof pages, lists.length);
"""
SETTINGS = ["--module", "nodenext", "--target", "es2022", "--strict", "--types", "node"]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("packages")
    subprocess.run(["make", "-s", "packages", f"DIST={folder}"], cwd=ROOT, check=True, timeout=300)
    return folder


def test_the_wheel_works_in_an_empty_folder(built: Path, tmp_path: Path) -> None:
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(tmp_path)
    names = {path.relative_to(tmp_path).parts[0] for path in tmp_path.rglob("*.*")}

    said = subprocess.run(
        [sys.executable, "-c", PYTHON], cwd=tmp_path, capture_output=True, text=True, check=True,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
    ).stdout  # fmt: skip

    assert names == {"ninjaone_connect", wheel.name.removesuffix("-py3-none-any.whl") + ".dist-info"}
    assert said.split() == ["ninjaone_connect.client", "ninjaone_connect.lists"]
    assert (tmp_path / "ninjaone_connect/py.typed").is_file()


def test_the_npm_package_works_in_an_empty_folder_with_its_types(built: Path, tmp_path: Path) -> None:
    """Its dependencies are those of the lock file: nothing is fetched."""
    (tarball,) = built.glob("*.tgz")
    modules = tmp_path / "node_modules"
    modules.mkdir()
    for found in (CLIENT / "node_modules").iterdir():
        (modules / found.name).symlink_to(found)
    with tarfile.open(tarball) as packed:
        packed.extractall(tmp_path, filter="data")
    shutil.move(tmp_path / "package", modules / "ninjaone-connect")
    (tmp_path / "package.json").write_text('{"type": "module"}')
    (tmp_path / "use.ts").write_text(TYPED)

    run(str(NODE / "node"), "node_modules/typescript/bin/tsc", *SETTINGS, "use.ts", folder=tmp_path)

    assert run("node", "use.js", folder=tmp_path).split() == ["function", "2"]
