"""Random DynamoDB operations over a small table, of every shape the broker uses."""

from typing import Any

from hypothesis import strategies as st

Call = tuple[str, dict[str, Any]]

KEYS = [{"tenant": {"S": t}, "connection": {"S": c}} for t in ("t1", "t2") for c in ("con_a", "con_a#profile", "con_b")]
ATTRIBUTES = (
    "version",
    "fence",
    "lease_until",
    "status",
    "refresh",
    "lease_id",
    "due_shard",
    "refresh_at",
    "scope",
)
NAMES = {f"#{name}": name for name in ATTRIBUTES}
numbers = st.integers(-2, 3).map(lambda n: {"N": str(n)})
strings = st.sampled_from(["", "active", "act", "needs_reauth", "ü"]).map(lambda s: {"S": s})
blobs = st.binary(max_size=3).map(lambda b: {"B": b})
maps = st.fixed_dictionaries({"M": st.fixed_dictionaries({"id": strings, "n": numbers})})
sets = st.sets(st.sampled_from(["a", "b", "c"]), min_size=1).map(lambda s: {"SS": sorted(s)})
KINDS: dict[str, st.SearchStrategy[Any]] = {
    "version": numbers, "fence": numbers, "lease_until": numbers, "status": strings, "refresh": blobs,
    "lease_id": maps, "due_shard": st.integers(0, 1).map(lambda n: {"N": str(n)}), "refresh_at": numbers,
    "scope": sets,
}  # fmt: skip
items = st.fixed_dictionaries({}, optional=KINDS)


@st.composite
def atoms(draw: st.DrawFn) -> tuple[str, dict[str, Any]]:
    """Draw one comparison or predicate and the values it names."""
    name = draw(st.sampled_from(ATTRIBUTES))
    slot = f":{name}{draw(st.integers(0, 9))}"
    if draw(st.booleans()):
        sign = draw(st.sampled_from(["=", "<>", "<", "<=", ">", ">="] if KINDS[name] is numbers else ["=", "<>"]))
        return f"#{name} {sign} {slot}", {slot: draw(KINDS[name])}
    shape = draw(
        st.sampled_from(
            ["attribute_exists(#{0})", "attribute_not_exists(#{0})", "NOT #{0} = {1}", "#{0} IN ({1}, {1})"]
        )
    )
    text = shape.format(name, slot)
    return text, {slot: draw(KINDS[name])} if slot in text else {}


@st.composite
def conditions(draw: st.DrawFn) -> tuple[str, dict[str, Any]]:
    """Draw a condition of one to three parts."""
    text, values = draw(atoms())
    for _ in range(draw(st.integers(0, 2))):
        other, more = draw(atoms())
        word = draw(st.sampled_from(["AND", "OR"]))
        text = draw(st.sampled_from([f"{text} {word} {other}", f"({text}) {word} ({other})"]))
        values = {**values, **more}
    return text, values


EXTRA = [
    ("begins_with(#status, :p)", {":p": {"S": "act"}}),
    ("#version BETWEEN :low AND :high", {":low": {"N": "0"}, ":high": {"N": "2"}}),
    ("attribute_exists(#status) AND size(#status) > :n", {":n": {"N": "3"}}),
    ("contains(#scope, :a)", {":a": {"S": "a"}}),
    ("#lease_id.id = :id", {":id": {"S": "active"}}),
]
ACTIONS: list[tuple[str, str, dict[str, st.SearchStrategy[Any]]]] = [
    *[("SET", f"#{name} = :s{name}", {f":s{name}": kind}) for name, kind in KINDS.items()],
    ("SET", "#fence = #fence + :one", {":one": numbers}),
    ("SET", "#version = if_not_exists(#version, :zero) + :one", {":zero": numbers, ":one": numbers}),
    ("SET", "#lease_until = #refresh_at - :one", {":one": numbers}),
    ("SET", "#lease_id.#status = :nested", {":nested": strings}),
    *[("REMOVE", f"#{name}", {}) for name in ATTRIBUTES],
    ("ADD", "#version :more", {":more": numbers}),
    ("ADD", "#scope :members", {":members": sets}),
]  # fmt: skip


@st.composite
def updates(draw: st.DrawFn) -> tuple[str, dict[str, Any]]:
    """Draw an update of one to four different attributes."""
    chosen = draw(
        st.lists(
            st.sampled_from(ACTIONS),
            min_size=1,
            max_size=4,
            unique_by=lambda a: a[1].split(" ")[0].split(".")[0],
        )
    )
    values: dict[str, Any] = {}
    clauses: dict[str, list[str]] = {}
    for clause, text, wanted in chosen:
        clauses.setdefault(clause, []).append(text)
        values.update({slot: draw(kind) for slot, kind in wanted.items()})
    return " ".join(f"{clause} {', '.join(texts)}" for clause, texts in clauses.items()), values


def spoken(parameters: dict[str, Any]) -> dict[str, Any]:
    """Name only what the expressions use; DynamoDB refuses an unused name or value."""
    text = " ".join(str(value) for name, value in parameters.items() if name.endswith("Expression"))
    names = {
        slot: name
        for slot, name in NAMES.items()
        if slot in text.replace("(", " ").replace(")", " ").replace(",", " ").replace(".", " ").split()
    }
    given = parameters.pop("values", {})
    if names:
        parameters["ExpressionAttributeNames"] = names
    if given:
        parameters["ExpressionAttributeValues"] = given
    return parameters


@st.composite
def writes(draw: st.DrawFn, table: str) -> Call:
    """Draw a put, an update or a delete, conditional more often than not."""
    operation = draw(st.sampled_from(["put_item", "update_item", "update_item", "delete_item"]))
    key = draw(st.sampled_from(KEYS))
    parameters: dict[str, Any] = {"TableName": table, "values": {}}
    if operation == "put_item":
        parameters["Item"] = {**draw(items), **key}
    else:
        parameters["Key"] = key
    if operation == "update_item":
        parameters["UpdateExpression"], values = draw(updates())
        parameters["values"].update(values)
    if draw(st.integers(0, 3)):
        condition, values = draw(st.one_of(conditions(), st.sampled_from(EXTRA)))
        parameters["ConditionExpression"] = condition
        parameters["values"].update(values)
        parameters["ReturnValuesOnConditionCheckFailure"] = draw(st.sampled_from(["NONE", "ALL_OLD"]))
    options = ["NONE", "ALL_OLD"] + (["ALL_NEW"] if operation == "update_item" else [])
    parameters["ReturnValues"] = draw(st.sampled_from(options))
    return operation, spoken(parameters)


@st.composite
def reads(draw: st.DrawFn, table: str) -> Call:
    """Draw a get, a batch get, or a query of the table or its index."""
    shape = draw(st.sampled_from(["get", "batch", "query", "index"]))
    if shape == "get":
        wanted = draw(st.sampled_from([{}, {"ProjectionExpression": "#version, tenant, #lease_id"}]))
        return "get_item", spoken(
            {"TableName": table, "Key": draw(st.sampled_from(KEYS)), "ConsistentRead": True, **wanted}
        )
    if shape == "batch":
        chosen = draw(st.lists(st.sampled_from(KEYS), min_size=1, max_size=4, unique_by=str))
        return "batch_get_item", {"RequestItems": {table: {"Keys": chosen, "ConsistentRead": True}}}
    forward = {"TableName": table, "ScanIndexForward": draw(st.booleans()), "Limit": draw(st.integers(1, 3))}
    if shape == "index":
        values = {":shard": {"N": str(draw(st.integers(0, 1)))}, ":now": draw(numbers)}
        return "query", spoken(
            {
                **forward,
                "IndexName": "due",
                "KeyConditionExpression": "#due_shard = :shard AND #refresh_at <= :now",
                "values": values,
            }
        )
    suffix, values = draw(st.sampled_from([("", {}), (" AND begins_with(connection, :c)", {":c": {"S": "con_a"}})]))
    values = {**values, ":t": {"S": draw(st.sampled_from(["t1", "t2"]))}}
    asked: dict[str, Any] = {**forward, "KeyConditionExpression": "tenant = :t" + suffix, "values": values}
    if draw(st.booleans()):
        asked["FilterExpression"], more = draw(conditions())
        values.update(more)
    return "query", spoken(asked)


@st.composite
def transactions(draw: st.DrawFn, table: str) -> Call:
    """Draw one to three writes of different items, all or none."""
    steps = []
    chosen = draw(st.lists(writes(table), min_size=1, max_size=3, unique_by=lambda call: str(_place(call[1]))))
    verbs = {"put_item": "Put", "update_item": "Update", "delete_item": "Delete"}
    for operation, parameters in chosen:
        steps.append({verbs[operation]: {k: v for k, v in parameters.items() if k != "ReturnValues"}})
    return "transact_write_items", {"TransactItems": steps}


def _place(parameters: dict[str, Any]) -> Any:
    named = parameters.get("Key") or parameters["Item"]
    return named["tenant"], named["connection"]
