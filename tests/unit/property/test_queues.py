"""Any message is a batch of connections or none."""

import json

from hypothesis import given
from hypothesis import strategies as st

from broker.adapters.queues import Trigger, read_batch, read_completion
from broker.model import connection_id, session_id, tenant_id

ID = "abcdefghijklmnopqrstuvwx27"
TEXTS = st.sampled_from(["acme", f"con_{ID}", f"ses_{ID}", "due", "urgent", "#breakers", ""]) | st.text(max_size=5)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)
BATCHES = st.fixed_dictionaries(
    {
        "trigger": st.sampled_from(list(Trigger)) | JSON,
        "connections": st.lists(st.lists(TEXTS, max_size=3) | JSON) | JSON,
    },
    optional={"min_ttl": JSON, "refused_version": JSON},
)


@given(st.text(max_size=60) | (JSON | BATCHES).map(json.dumps))
def test_any_message_is_a_batch_of_connections_or_none(body: str) -> None:
    batch = read_batch(body)

    if batch is None:
        return
    listed = json.loads(body)["connections"]
    assert len(set(batch.refs)) == len(batch.refs) <= len(listed) - batch.faults
    for ref in batch.refs:
        assert tenant_id(ref.tenant)
        assert connection_id(ref.connection)
        assert [ref.tenant, ref.connection] in listed


@given(st.text(max_size=60) | JSON.map(json.dumps) | TEXTS.map(lambda text: json.dumps({"session": text})))
def test_any_message_names_one_session_or_none(body: str) -> None:
    found = read_completion(body)

    assert found is None or (session_id(found) and json.loads(body)["session"] == found)
