"""Put a mutant into the running process: its functions get the code of the mutated module.

Other modules and live objects hold the functions themselves, so whoever imported one by name meets the mutant as well.
"""

import ast
import gc
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import CodeType, FunctionType

from tests.verification.mutants.sites import ROOT, Mutant

Functions = Mapping[str, Sequence[FunctionType]]


def functions() -> Functions:
    """Find all functions of the broker that this process holds, by the file that they are from."""
    found: dict[str, list[FunctionType]] = defaultdict(list)
    for each in gc.get_objects():
        if isinstance(each, FunctionType) and each.__code__.co_filename.startswith(str(ROOT)):
            found[str(Path(each.__code__.co_filename).relative_to(ROOT))].append(each)
    return found


def plant(mutant: Mutant, where: Functions) -> None:
    """Change the code of the functions that differ. Raises   LookupError: none does, so nothing was mutated"""
    if not put(mutant.file, mutant.module(), where):
        raise LookupError(str(mutant))


def put(file: str, module: ast.Module, where: Functions) -> int:
    """Give the functions of a file the code that they have in a changed module; say how many of them it changed."""
    made = {(each.co_qualname, each.co_firstlineno): each for each in _codes(compile(module, str(ROOT / file), "exec"))}
    changed = 0
    for function in where[file]:
        new = made[function.__code__.co_qualname, function.__code__.co_firstlineno]
        if new != function.__code__:
            function.__code__ = new
            changed += 1
    return changed


def _codes(code: CodeType) -> Iterator[CodeType]:
    for const in code.co_consts:
        if isinstance(const, CodeType):
            yield const
            yield from _codes(const)
