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
        if isinstance(each, FunctionType):
            path = Path(each.__code__.co_filename)
            if path.suffix == ".py" and path.is_relative_to(ROOT):  # templates of pages are code as well
                found[str(path.relative_to(ROOT))].append(each)
    return found


def plant(mutant: Mutant, where: Functions) -> None:
    """Change the code of the functions that differ. Raises LookupError: none does, so nothing was mutated."""
    if not put(mutant.file, mutant.module(), where):
        raise LookupError(str(mutant))


def put(file: str, module: ast.Module, where: Functions) -> int:
    """Give the functions of a file the code that they have in a changed module; say how many of them it changed."""
    made: dict[tuple[str, int], list[CodeType]] = defaultdict(list)
    for code in _codes(compile(module, str(ROOT / file), "exec")):
        made[code.co_qualname, code.co_firstlineno].append(code)  # several lambdas may stand on one line
    changed = 0
    for function in where[file]:
        old = function.__code__
        found = made[old.co_qualname, old.co_firstlineno]
        if old not in found:
            function.__code__ = next(new for new in found if new.co_freevars == old.co_freevars)
            changed += 1
    return changed


def _codes(code: CodeType) -> Iterator[CodeType]:
    for const in code.co_consts:
        if isinstance(const, CodeType):
            yield const
            yield from _codes(const)
