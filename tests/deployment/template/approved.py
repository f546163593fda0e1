"""The templates as they are deployed, one property to a line: ``python -m tests.deployment.template.approved``.

The command writes the listings in `approved/` anew; whoever changes a template reviews what they then show as changed.
A line names the kind of resource, the property and its value, and which resources have it; a line of a role names who
may do what with which resource, and under which conditions.
"""

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.deployment.template.stack import Stack, deploy, resolved, source

FOLDER = Path(__file__).with_name("approved")
FIREWALL = {
    "Origin": "0123456789.execute-api.eu-west-1.amazonaws.com",
    "Domain": "connect.example.com",
    "CertificateArn": "arn:aws:acm:us-east-1:123456789012:certificate/0f0f",
    "OriginSecret": "ninjaone-connect-origin-1",
}
"""Parameters of stacks/firewall.yaml."""
CERTIFICATE = "arn:aws:acm:eu-west-1:123456789012:certificate/0f0f"
OTHER_KEY = "arn:aws:kms:eu-west-1:210987654321:key/1a1a"
BOUNDARY = "arn:aws:iam::123456789012:policy/boundary"
DIGEST = "0123456789abcdef" * 4

CHOICES: Mapping[str, Mapping[str, str]] = {
    "HasProxy": {"Proxy": "on", "ReserveRefreshes": "yes"},
    "HasProxyPolicyParameter": {
        "Proxy": "on",
        "ReserveRefreshes": "yes",
        "ProxyPolicyParameter": "/connect/proxy-policy",
    },
    "HasConnectDomain": {"ConnectDomain": "connect.example.com", "OriginVerify": DIGEST},
    "HasRegionalDomain": {"ConnectDomain": "connect.example.com", "CertificateArn": CERTIFICATE},
    "HasBackendDomain": {"BackendDomain": "tokens.example.com", "CertificateArn": CERTIFICATE},
    "HasOtherSealKey": {"OtherSealKey": OTHER_KEY},
    "HasBackendPrincipals": {
        "BackendPrincipals": "arn:aws:iam::210987654321:role/backend,arn:aws:iam::210987654321:role/jobs"
    },
    "HasPermissionsBoundary": {"PermissionsBoundary": BOUNDARY},
    "HasAlarmEmail": {"AlarmEmail": "on-call@example.com"},
    "HasSnapshots": {"SnapStart": "PublishedVersions"},
    "ManyAreUrgent": {"UrgentRefreshes": "20", "ReserveRefreshes": "yes"},
    "ReservesRefreshes": {"ReserveRefreshes": "yes"},
}
"""Each condition, and the parameters that make it true."""
EVERYTHING = {name: value for choice in CHOICES.values() for name, value in choice.items()}
ALSO_CHOSEN: Mapping[str, Mapping[str, str]] = {
    "Tracing": {"Tracing": "Active"},
    "RefreshPolicy": {"RefreshPolicy": "adaptive"},
    "ApprovalBinding": {"ApprovalBinding": "allowed"},
    "NoProxy": {"Proxy": "off"},
}
"""What else an operator can choose."""
KINDS: Mapping[str, Sequence[str]] = {
    "functions": ("Lambda::", "Scheduler::", "Logs::"),
    "stores": ("DynamoDB::", "SQS::", "S3::", "KMS::", "SecretsManager::", "SSM::"),
}
"""Listing → the kinds of resource of template.yaml that are in it."""
_WORDS = {"Description", "Code", "Content", "Metadata", "DependsOn", "Tags", "info", "parameters", "responses"}
"""Properties that are words for people, where a build puts something, or what SAM adds to a route by itself."""


def listings() -> dict[str, str]:
    """Make every listing by name."""
    made = {name: listing(deploy(), kinds) for name, kinds in KINDS.items()}
    firewall = listing(resolved(source("stacks/firewall.yaml"), FIREWALL), ("",))
    return made | {
        "firewall": firewall,
        "roles": "".join(f"{line}\n" for line in roles(deploy())),
        "choices": choices(),
    }


def choices() -> str:
    """List what each choice of an operator adds to what is deployed without it, and what it takes away."""
    bare, told = _everything(deploy()), list[str]()
    for name, chosen in {**CHOICES, **ALSO_CHOSEN}.items():
        made = _everything(deploy(**chosen))
        told += [f"{name} - {line}" for line in sorted(bare - made)]
        told += [f"{name} + {line}" for line in sorted(made - bare)]
    return "".join(f"{line}\n" for line in told)


def _everything(stack: Stack) -> set[str]:
    outputs = {f"Output {name} = {value}" for name, value in stack.outputs.items()}
    return {*listing(stack, ("",)).splitlines(), *roles(stack), *outputs}


def listing(stack: Stack, kinds: Sequence[str]) -> str:
    """List the resources of some kinds, each given by how its type begins after ``AWS::``."""
    found: dict[tuple[str, str], list[str]] = defaultdict(list)
    having: Counter[str] = Counter()
    for name, resource in stack.resources.items():
        kind = resource["Type"].removeprefix("AWS::")
        if kind.startswith(tuple(kinds)):
            having[kind] += 1
            attributes = {
                each: said for each, said in resource.items() if each not in {"Type", "Condition", "Properties"}
            }
            properties = {each: said for each, said in resource.get("Properties", {}).items() if each != "Policies"}
            for line in _flat("", attributes | properties):
                found[kind, line].append(_plain(name))
    return "".join(
        f"{kind} {line}  ({'every' if len(names) == having[kind] > 1 else ', '.join(sorted(names))})\n"
        for (kind, line), names in sorted(found.items())
    )


def _listed_of(resource: Mapping[str, Any]) -> dict[str, Any]:
    """Give a resource's attributes and properties; what a role may do is listed apart."""
    attributes = {name: said for name, said in resource.items() if name not in {"Type", "Condition", "Properties"}}
    return attributes | {name: said for name, said in resource.get("Properties", {}).items() if name != "Policies"}


def _flat(path: str, value: Any) -> Iterator[str]:
    if isinstance(value, dict) and value:
        for name, each in value.items():
            if name not in _WORDS:
                yield from _flat(f"{path}.{name}" if path else name, each)
    elif isinstance(value, list) and any(isinstance(each, dict) for each in value):
        for number, each in enumerate(value):
            yield from _flat(f"{path}[{number}]", each)
    else:
        yield _plain(f"{path} = {json.dumps(value, sort_keys=True)}")


def _plain(text: str) -> str:
    """Leave out the digest that SAM puts behind a layer's name."""
    return re.sub(r"(\w+Layer)[0-9a-f]{10}\b", r"\1", text)


Statement = Mapping[str, Any]


def statements(stack: Stack) -> Iterator[tuple[str, Statement]]:
    """Give what every role allows, with the role's owner."""
    for name, role in stack.of("AWS::IAM::Role").items():
        for policy in role.get("Policies", []):
            for statement in policy["PolicyDocument"]["Statement"]:
                yield name.removesuffix("Role").removesuffix("Function"), statement


def listed(value: Any) -> list[str]:
    """Read what may be one value or a list of them."""
    return [value] if isinstance(value, str) else list(value)


def roles(stack: Stack) -> list[str]:
    """Write every role down, one action on one resource to a line."""
    return sorted(
        " | ".join([owner, statement.get("Sid", "(SAM's own)"), action, resource, *_limits(statement)])
        for owner, statement in statements(stack)
        for action in listed(statement["Action"])
        for resource in listed(statement["Resource"])
    )


def _limits(statement: Statement) -> list[str]:
    """Write a statement's conditions; equality goes without saying."""
    return [
        f"{key.partition(':')[2]} {operator.removeprefix('StringEquals')} = {' '.join(listed(wanted))}".replace(
            "  ", " "
        )
        for operator, said in statement.get("Condition", {}).items()
        for key, wanted in said.items()
    ]


if __name__ == "__main__":
    for name, text in listings().items():
        (FOLDER / f"{name}.txt").write_text(text, encoding="utf-8")
