"""The two layers as `sam build` makes them: for Lambda's processor, and the same bytes every time."""

import hashlib
import os
import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from tools.requirements import req

ROOT = Path(__file__).parents[3]
ARM64 = 183  # e_machine of an ELF file, AArch64


@cache
def python313() -> str:
    """Find Lambda's Python on this machine; empty where there is none."""
    return subprocess.run(
        [ROOT / "requirements/interpreter", "3.13", "3.13"], capture_output=True, text=True, check=False
    ).stdout.strip()


def build(source: str, target: str, into: Path) -> Path:
    """Make one layer from a copy of its folder, as SAM does, and give the folder that is zipped."""
    copy, artifacts = into / "source", into / "artifacts"
    shutil.copytree(ROOT / source, copy)
    stale = copy / "python/broker/__pycache__/stale.pyc"
    stale.parent.mkdir(parents=True, exist_ok=True)
    stale.write_bytes(str(into).encode())
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    path = f"{Path(python313()).parent}:{os.environ['PATH']}" if python313() else os.environ["PATH"]
    environment |= {"ARTIFACTS_DIR": str(artifacts), "PYTHON": sys.executable, "PATH": path}
    subprocess.run(["make", "--silent", target], cwd=copy, env=environment, check=True)
    return artifacts


def digest(folder: Path) -> str:
    """What a deployment compares: every path and every content."""
    total = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        total.update(f"{path.relative_to(folder)}\0{path.stat().st_size}\0".encode() + path.read_bytes())
    return total.hexdigest()


@pytest.fixture(scope="module")
def libraries(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("layers/libraries", "build-LibrariesLayer", tmp_path_factory.mktemp("libraries"))


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("layers/broker", "build-BrokerLayer", tmp_path_factory.mktemp("broker"))


@req("N04")
@pytest.mark.slow
def test_the_same_libraries_are_the_same_bytes(libraries: Path, tmp_path: Path) -> None:
    again = build("layers/libraries", "build-LibrariesLayer", tmp_path)

    assert digest(again) == digest(libraries)


@req("N04")
@pytest.mark.slow
def test_the_same_broker_is_the_same_bytes(broker: Path, tmp_path: Path) -> None:
    again = build("layers/broker", "build-BrokerLayer", tmp_path)

    assert digest(again) == digest(broker)


def test_the_broker_s_layer_holds_its_sources_as_they_are_and_nothing_else(broker: Path) -> None:
    source = ROOT / "layers/broker/python"
    written = {path.relative_to(source) for path in source.rglob("*") if path.is_file() and path.suffix != ".pyc"}

    shipped = {path.relative_to(broker / "python") for path in broker.rglob("*") if path.is_file()}

    assert {path for path in shipped if path.suffix != ".pyc"} == written
    assert not [path for path in shipped if path.name == "stale.pyc"]


@pytest.mark.slow
def test_native_code_is_for_arm64(libraries: Path) -> None:
    machines = {path.name: int.from_bytes(path.read_bytes()[18:20], "little") for path in libraries.rglob("*.so*")}

    assert machines
    assert set(machines.values()) == {ARM64}, machines


@req("N01")
@pytest.mark.slow
def test_every_locked_library_is_in_the_layer(libraries: Path) -> None:
    lock = (ROOT / "layers/libraries/requirements.txt").read_text()
    locked = {name.replace("-", "_") for name in re.findall(r"^([a-z0-9-]+)==", lock, re.MULTILINE)}

    shipped = {path.name.split("-")[0].lower() for path in (libraries / "python").glob("*.dist-info")}

    assert shipped == locked


@pytest.mark.slow
@pytest.mark.parametrize("layer", ["libraries", "broker"])
def test_every_module_has_its_bytecode_where_python_3_13_is_found(layer: str, request: pytest.FixtureRequest) -> None:
    folder: Path = request.getfixturevalue(layer)
    modules = set(folder.rglob("*.py"))

    compiled = {path.parents[1] / f"{path.name.split('.')[0]}.py" for path in folder.rglob("*.cpython-313.pyc")}

    assert compiled == (modules if python313() else set())


@pytest.mark.slow
@pytest.mark.parametrize("layer", ["libraries", "broker"])
def test_bytecode_names_the_place_where_lambda_unpacks_it(layer: str, request: pytest.FixtureRequest) -> None:
    folder: Path = request.getfixturevalue(layer)

    here = [path for path in folder.rglob("*") if path.is_file() and str(folder.parent).encode() in path.read_bytes()]

    assert here == []
