"""Which statements of the broker a test runs: a probe stands before each, and all other code runs as fast as ever.

A tracer such as coverage's is called for every function of botocore's and moto's too: tests take three times as long.
"""

import ast
import builtins
import copy
from collections.abc import Sequence

from tests.verification.mutants.planting import Functions, put
from tests.verification.mutants.sites import FUNCTIONS, parsed

Place = tuple[str, int]
"""A file below the package, and the first line of a statement."""
_PROBE = "__reached__"


def probe(where: Functions) -> set[Place]:
    """Put the probes into this process; give the set that they add their places to."""
    reached: set[Place] = set()
    setattr(builtins, _PROBE, reached.add)
    for file in where:
        put(file, probed(file, parsed(file)), where)
    return reached


def probed(file: str, module: ast.Module) -> ast.Module:
    """Write a module with a probe before each statement of its functions."""
    made = copy.deepcopy(module)
    functions = [node for node in ast.walk(made) if isinstance(node, FUNCTIONS)]
    for block in {id(node): node for function in functions for node in ast.walk(function)}.values():
        for name, held in ast.iter_fields(block):
            if isinstance(held, list) and held and isinstance(held[0], ast.stmt):
                setattr(block, name, _with_probes(file, held))
    return ast.fix_missing_locations(made)


def _with_probes(file: str, statements: Sequence[ast.stmt]) -> list[ast.stmt]:
    return [one for each in statements for one in (ast.copy_location(_call(file, each.lineno), each), each)]


def _call(file: str, line: int) -> ast.stmt:
    place = ast.Tuple([ast.Constant(file), ast.Constant(line)], ast.Load())
    return ast.Expr(ast.Call(ast.Name(_PROBE, ast.Load()), [place], []))
