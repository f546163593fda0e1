"""The TypeScript client: what it adds to the import of its dependencies, and what tokens from its cache take.

Both are milliseconds of processor, the least of several runs: what else the machine does stays out of them.
"""

import os
import subprocess
from pathlib import Path

from tests.benchmarks.bench.lines import Line

ROOT = Path(__file__).parents[3]
CLIENT = ROOT / "clients/typescript"
NODE = ROOT / ".venv-node/bin/node"
RUNS = 25

DEPENDENCIES = """
await import("aws4fetch");
await import("@aws-sdk/credential-provider-node");
"""
IMPORTED = f'await import("./dist/index.js");{DEPENDENCIES}'
"""The client loads AWS's credential chain with its first call; here it is loaded in both."""

CACHED = """
const { TokenCache } = await import("./dist/ninjaone.js");
const cache = new TokenCache(async () => ({ access_token: "t", expires_in: 3600 }));
const read = async () => { for (let left = 10_000; left; left -= 1) await cache.get(); };
await read();
began = process.cpuUsage();
await read();
"""
MEASURED = """
let began = process.cpuUsage();
{program}
const {{ user, system }} = process.cpuUsage(began);
console.log((user + system) / 1000);
"""


def lines() -> list[Line]:
    """Measure all, on the client as it is built."""
    _run("node_modules/typescript/bin/tsc", "--project", "tsconfig.build.json")
    ours, theirs, reads = (
        min(each)
        for each in zip(
            *((_took(IMPORTED), _took(DEPENDENCIES), _took(CACHED)) for _ in range(RUNS)),
            strict=True,
        )
    )
    return [
        Line("TypeScript client: import ÷ its dependencies alone", ours / theirs, 1.3),
        Line("TypeScript client: 10,000 tokens from its cache", reads, 20, unit=" ms"),
    ]


def _took(program: str) -> float:
    return float(_run("--input-type=module", "--eval", MEASURED.format(program=program)))


def _run(*arguments: str) -> str:
    given = {"PATH": os.environ["PATH"]}
    return subprocess.run([NODE, *arguments], cwd=CLIENT, env=given, check=True, capture_output=True, text=True).stdout
