"""Judge policies by MiniStack's evaluator, in its own interpreter: a list of cases on standard input, answers out.

A case is `[policy document, action, resource, context]`; its answer `[decision, Sid]`. `policies` makes the cases.
"""

import json
import sys
from importlib import import_module
from typing import Any


def main() -> None:
    """Answer all cases in their order."""
    evaluator = import_module("ministack.core.iam_evaluator")
    json.dump([_judge(evaluator, *case) for case in json.load(sys.stdin)], sys.stdout)


def _judge(evaluator: Any, policy: dict[str, Any], action: str, resource: str, context: dict[str, Any]) -> list[str]:
    asked = evaluator.EvalContext("", "AssumedRole", "", action, resource, "", service_context=context)
    result = evaluator.evaluate(asked, [evaluator.parse_policy_document(policy)])
    return [result.decision, result.matched_sid]


if __name__ == "__main__":
    main()
