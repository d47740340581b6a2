"""Whatever hypothesis makes of the contract's examples: no 5xx but those declared, and no reply off the contract."""

import asyncio
from collections.abc import Coroutine
from typing import Any
from urllib.parse import quote

import httpx
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.contract import police
from tests.harness import PATIENCE_S, PERSON, Product

EXAMPLES = 60
META_MAY_FAIL = {502, 503, 504}
LOOSE = {"send_message", "send_template_message", "send_template_message_by_old_path"}
"""What travels on to Meta, or is read as kindly as it can be: more is accepted here than is promised."""

ENDS_IT = {"delete_plugin"}
"""What would leave the others nothing to ask about."""

words = st.one_of(
    st.text(max_size=12), st.sampled_from(["", "\0", "\u2028", "x" * 5000, "1e9", "{{1}}", PERSON])
)
anything = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), words
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(words, inner, max_size=3)),
    max_leaves=6,
)


def changed(value: Any) -> st.SearchStrategy[Any]:
    """The same with something else in one place or another; most often as it is."""
    if isinstance(value, dict) and value:
        inside = st.fixed_dictionaries({}, optional={key: changed(inner) for key, inner in value.items()})
        whole = st.fixed_dictionaries({key: changed(inner) for key, inner in value.items()})
        return st.one_of(whole, whole, inside, anything)
    if isinstance(value, list) and value:
        return st.one_of(st.tuples(*map(changed, value)).map(list), st.lists(changed(value[0]), max_size=3))
    return st.one_of(st.just(value), st.just(value), st.just(value), anything)


def bodies_of(operation: dict[str, Any]) -> list[Any]:
    """The examples of an operation's JSON body."""
    body = police.resolved(operation.get("requestBody", {}))
    content = body.get("content", {}).get("application/json", {})
    given = [police.resolved(it)["value"] for it in content.get("examples", {}).values()]
    return given or ([content["example"]] if "example" in content else [None])


@st.composite
def requests(draw: st.DrawFn, product: Product) -> tuple[police.Operation, str, Any]:
    """An operation, the path and the body to try it with."""
    operation = draw(st.sampled_from([it for it in police.contract().operations if it.id not in ENDS_IT]))
    ours = {
        "pluginId": product.team.plugin_id,
        "whatsappApiVersion": "v25.0",
        "whatsappPhoneNumberId": product.team.phone_number_id,
        "phoneNumberId": product.team.phone_number_id,
        "phoneNumber": PERSON,
    }
    path = operation.template
    for name, value in ours.items():
        if f"{{{name}}}" in path:
            used = draw(st.one_of(*[st.just(value)] * 4, words.filter(bool)))
            path = path.replace(f"{{{name}}}", quote(used, safe=""))
    written = police.document()["paths"][operation.template][operation.method.lower()]
    body = draw(st.sampled_from(bodies_of(written)))
    return operation, path, None if body is None else draw(changed(body))


async def test_nothing_that_is_sent_breaks_the_server_or_the_contract(product: Product) -> None:
    await product.open_window()
    loop = asyncio.get_running_loop()

    def wait_for(asking: Coroutine[Any, Any, httpx.Response]) -> httpx.Response:
        return asyncio.run_coroutine_threadsafe(asking, loop).result(timeout=PATIENCE_S)

    @settings(
        max_examples=EXAMPLES,
        database=None,
        suppress_health_check=[*HealthCheck],
        print_blob=False,
    )
    @given(requests(product))
    def ask(request: tuple[police.Operation, str, Any]) -> None:
        operation, path, body = request
        try:
            reply = wait_for(product.api.request(operation.method, path, json=body))
        except AssertionError as error:
            wrong = [line for line in str(error).splitlines()[1:] if not line.strip().startswith("request ")]
            if wrong or operation.id not in LOOSE:
                raise
        else:
            assert reply.status_code < 500 or reply.status_code in META_MAY_FAIL, reply.text

    await asyncio.to_thread(ask)

    await product.settle()
    assert len(await product.listed()) >= 0, "the list of whatever was said keeps the contract"
    assert (await product.api.get("/v1/health")).status_code == 200
