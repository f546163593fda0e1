"""The page of the Python client, from its docstrings."""

import ast
from collections.abc import Iterator
from pathlib import Path

import ninjaone_connect

SOURCES = Path(__file__).parents[2] / "clients/python/src/ninjaone_connect"
WIDTH = 100
HEAD = """# The Python client

Written from the docstrings of `ninjaone_connect` by `python -m tools.reference`; a test compares it. The way from an
empty folder to a first token is in [the client's README](../../clients/python/README.md).

## What stays

Public is what this page names; everything else may change without notice. Versions are semantic. A public name,
parameter or field is removed in a new major version only, and before that it warns with `DeprecationWarning` for at
least one minor release and six months; the message and the changelog name what replaces it. A client works with every
broker of its own major version, because it ignores fields that it does not know, and a problem `type` that is newer
than the client arrives as `Problem`. A Python version is supported until its own end of life.
"""

Function = ast.FunctionDef | ast.AsyncFunctionDef
Definition = ast.ClassDef | Function


def page() -> str:
    """Write the page."""
    found = definitions()
    names = sorted(ninjaone_connect.__all__, key=str.lower)
    return "\n".join([HEAD, *(_entry(found[name]) for name in names), _errors()])


def definitions() -> dict[str, Definition]:
    """Find every class and function at the top of a module of the client."""
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in sorted(SOURCES.glob("*.py"))]
    return {node.name: node for tree in trees for node in tree.body if isinstance(node, Definition)}


def _entry(node: Definition) -> str:
    parts = [f"## {node.name}", _text(node)]
    if isinstance(node, ast.ClassDef):
        parts += [_code(_made(node)), *(f"{_code(_call(each))}\n\n{_text(each)}" for each in _methods(node))]
    else:
        parts.insert(1, _code(_call(node)))
    return "\n\n".join(part for part in parts if part) + "\n"


def _methods(node: ast.ClassDef) -> Iterator[Function]:
    for each in node.body:
        if isinstance(each, Function) and ast.get_docstring(each) and _is_public(each):
            yield each


def _is_public(node: Function) -> bool:
    return not node.name.startswith("_") and not node.decorator_list


def _made(node: ast.ClassDef) -> str:
    """Return how it is made: by its __init__, or by the fields of a dataclass."""
    for each in node.body:
        if isinstance(each, Function) and each.name == "__init__":
            return _call(each, node.name)
    return "\n".join(ast.unparse(each) for each in node.body if isinstance(each, ast.AnnAssign))


def _call(node: Function, name: str = "") -> str:
    """Write a signature, one parameter a line where it is long."""
    given = _parameters(node.args)
    returns = f" -> {ast.unparse(node.returns)}" if node.returns and not name else ""
    start = "async " if isinstance(node, ast.AsyncFunctionDef) else ""
    line = f"{start}{name or node.name}({', '.join(given)}){returns}"
    if len(line) <= WIDTH:
        return line
    return "\n".join([f"{start}{name or node.name}(", *(f"    {each}," for each in given), f"){returns}"])


def _parameters(args: ast.arguments) -> list[str]:
    required = len(args.args) - len(args.defaults)
    plain = [
        _parameter(each, args.defaults[at - required] if at >= required else None) for at, each in enumerate(args.args)
    ]
    named = [_parameter(each, default) for each, default in zip(args.kwonlyargs, args.kw_defaults, strict=True)]
    rest = [f"**{ast.unparse(args.kwarg)}"] if args.kwarg else []
    return [each for each in plain if each != "self"] + (["*"] if named else []) + named + rest


def _parameter(arg: ast.arg, default: ast.expr | None) -> str:
    return ast.unparse(arg) + (f" = {ast.unparse(default)}" if default else "")


def _text(node: Definition) -> str:
    """Return a docstring; what follows its first paragraph keeps its columns."""
    first, _, rest = (ast.get_docstring(node) or "").partition("\n\n")
    said = " ".join(first.replace("``", "`").split())
    return f"{said}\n\n```text\n{rest}\n```" if rest else said


def _code(text: str) -> str:
    return f"```python\n{text}\n```" if text else ""


def _errors() -> str:
    module = ast.parse((SOURCES / "errors.py").read_text(encoding="utf-8"))
    _, _, tree = (ast.get_docstring(module) or "").partition("\n\n")
    kinds = [node for node in module.body if isinstance(node, ast.ClassDef) and node.bases]
    rows = [f"| `{node.name}` | {_text(node).partition(chr(10))[0]} |" for node in kinds]
    head = ["## Errors", "", "The classes of `ninjaone_connect.errors`.", "", "```text", tree, "```", ""]
    return "\n".join([*head, "| error | when |", "|---|---|", *rows, ""])
