"""The contract is a good document, and the police notices when it is broken."""

import copy
import json
import re
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from tests.contract import police

SEED = "shared/seed/list-previous-messages-for-a-phone-number.txt"
LIST = "/v1/ext/plugin/whatsapp/list-chat-messages-for-phone-number"
PLUGIN = "01942000-0000-7000-8000-000000000003"
SEND = f"/v1/ext/plugin/whatsapp/{PLUGIN}/api/v24.0/100200300400500/messages"
TEMPLATE = f"/v1/ext/plugin/whatsapp/{PLUGIN}/phoneNumber/15550001111/send-template-message"
UPLOAD = f"/v1/ext/plugin/whatsapp/{PLUGIN}/upload-public-media"
WEBHOOK = f"/webhooks/whatsapp/{PLUGIN}"
SOMEONE = {"customerPhoneNumber": "15550001111"}
NOT_FOUND = {"_data": [], "_errors": ["Plugin not found"], "message": "Plugin not found"}

Change = Callable[[dict[str, Any]], Any]


# ---------------------------------------------------------------------------------------------- the document


def test_the_contract_is_a_valid_openapi_3_1_document():
    problems = [error.message for error in OpenAPIV31SpecValidator(police.document()).iter_errors()]

    assert police.document()["openapi"].startswith("3.1.")
    assert problems == []


def test_every_operation_has_its_own_name_a_tag_that_is_explained_and_a_summary():
    written = [
        item[method]
        for item in police.document()["paths"].values()
        for method in item
        if method != "parameters"
    ]
    tags = {tag["name"] for tag in police.document()["tags"]}

    names = [operation["operationId"] for operation in written]

    assert len(set(names)) == len(names) == len(police.operations())
    assert all(len(operation["tags"]) == 1 and operation["tags"][0] in tags for operation in written)
    assert all(operation["summary"] for operation in written)


def test_no_success_may_speak_of_errors_or_hold_a_key_the_contract_does_not_name():
    """The promise that is easiest to lose: a new reply whose author forgot to close it."""
    successes = [
        (schema, value) for _, schema, value in _examples(police.document(), "#") if "_data" in _keys(value)
    ]
    spoilt = [
        (schema, spoiling)
        for schema, value in successes
        if "_errors" not in value
        for spoiling in (
            {**value, "_errors": []},
            {**value, "error": {}},
            {**value, "_data": _with_an_extra_key(value["_data"])},
        )
    ]

    let_through = [value for schema, value in spoilt if police.validator(schema).is_valid(value)]

    assert len(spoilt) > 30
    assert let_through == []


def test_every_component_is_used():
    everything = json.dumps(police.document())
    components = police.document()["components"]
    unused = [
        f"#/components/{kind}/{name}"
        for kind in components.keys() - {"securitySchemes"}
        for name in components[kind]
        if f'"#/components/{kind}/{name}"' not in everything
    ]

    assert unused == []


def test_every_example_fits_its_schema():
    examples = list(_examples(police.document(), "#"))
    wrong = [
        f"{place}: {error.message}"
        for place, schema, example in examples
        for error in police.validator(schema).iter_errors(example)
    ]

    assert len(examples) > 50, "the walk has missed most of them"
    assert wrong == []


def test_every_failure_in_the_examples_repeats_its_first_error_as_the_message():
    failures = [value for _, _, value in _examples(police.document(), "#") if "_errors" in _keys(value)]

    assert failures
    assert all(failure["message"] == failure["_errors"][0] for failure in failures)


def test_the_page_this_project_was_created_from_fits_the_contract():
    sample = _seed_sample()

    found = police.contract().find("POST", LIST)
    assert found is not None
    schema = found[0].replies["200"].contents["application/json"]
    assert schema is not None

    assert len(sample["_data"]) == 3
    assert [error.message for error in schema.iter_errors(sample)] == []


def test_a_message_has_the_keys_of_the_seed_in_its_order():
    keys = list(_seed_sample()["_data"][0])
    message = police.document()["components"]["schemas"]["Message"]

    assert list(message["properties"]) == message["required"] == keys


# ------------------------------------------------------------------------------------------------ the police


async def test_an_honest_server_is_left_alone():
    page = await _post(LIST, SOMEONE, reply=httpx.Response(200, json=_page()))
    refusal = await _post(SEND, {}, reply=httpx.Response(404, json=NOT_FOUND))

    assert page.json() == _page()
    assert refusal.status_code == 404


async def test_an_undeclared_status_is_caught():
    with pytest.raises(AssertionError, match=r"\(list_chat_messages_for_phone_number\) answered 201"):
        await _post(LIST, SOMEONE, reply=httpx.Response(201, json=_page()))


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        pytest.param(
            lambda m: m.pop("errorContext"), r'\$\._data\[0\]: "errorContext" is a required', id="missing"
        ),
        pytest.param(lambda m: m.update(teamId=m.pop("team")), r"'teamId' was unexpected", id="renamed"),
        pytest.param(lambda m: m.update(whatsappMessageId="wamid.X"), r"'whatsappMessageId' was", id="extra"),
        pytest.param(lambda m: m.update(createdAt="2026-01-02"), r"\$\._data\[0\]\.createdAt", id="type"),
        pytest.param(
            lambda m: m.update(deliveryStatus="delivered"), r"\._data\[0\]\.deliveryStatus", id="case"
        ),
        pytest.param(lambda m: m.update(chat="7"), r"\$\._data\[0\]\.chat", id="uuid"),
        pytest.param(lambda m: m.update(attachments=[]), r"\$\._data\[0\]\.attachments", id="empty"),
    ],
)
async def test_a_message_with_a_missing_renamed_extra_or_wrong_key_is_caught(change: Change, complaint: str):
    page = _page()
    change(page["_data"][0])

    with pytest.raises(AssertionError, match=complaint):
        await _post(LIST, SOMEONE, reply=httpx.Response(200, json=page))


@pytest.mark.parametrize("key", ["_errors", "error"])
async def test_a_success_that_speaks_of_errors_is_caught(key: str):
    with pytest.raises(AssertionError, match=f"'{key}' was unexpected"):
        await _post(LIST, SOMEONE, reply=httpx.Response(200, json={**_page(), key: []}))


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        ({"limit": 5}, r'request \$: "customerPhoneNumber" is a required'),
        ({**SOMEONE, "limit": 1001}, r"request \$\.limit"),
        ({**SOMEONE, "page": 0}, r"request \$\.page"),
        ({**SOMEONE, "limit": True}, r"request \$\.limit"),
        ({"customerPhoneNumber": "call me"}, r"request \$\.customerPhoneNumber"),
    ],
)
async def test_a_success_for_a_bad_request_is_caught(body: dict[str, Any], complaint: str):
    with pytest.raises(AssertionError, match=complaint):
        await _post(LIST, body, reply=httpx.Response(200, json=_page()))


async def test_a_bad_request_that_is_refused_is_fine():
    refusal = {"_data": [], "_errors": ["limit is too high."], "message": "limit is too high."}

    reply = await _post(LIST, {**SOMEONE, "limit": 1001}, reply=httpx.Response(400, json=refusal))

    assert reply.status_code == 400


async def test_json_is_held_to_its_schema_whatever_content_type_it_comes_with():
    as_text: Any = {"headers": {"Content-Type": "text/plain"}, "reply": httpx.Response(200, json=_page())}

    await _send("POST", LIST, content=json.dumps(SOMEONE), **as_text)
    with pytest.raises(AssertionError, match="limit"):
        await _send("POST", LIST, content=json.dumps({**SOMEONE, "limit": "many"}), **as_text)


async def test_a_success_without_a_key_is_caught_where_one_is_needed():
    with pytest.raises(AssertionError, match="needs a key"):
        await _post(LIST, SOMEONE, token=None, reply=httpx.Response(200, json=_page()))


async def test_health_needs_no_key():
    up = httpx.Response(200, json={"_data": {"status": "ok"}})

    reply = await _send("GET", "/v1/health", token=None, reply=up)

    assert reply.status_code == 200


@pytest.mark.parametrize(
    ("path", "method", "status"),
    [("/v1/messages", "POST", 404), (LIST, "GET", 405), ("/v1/messages", "GET", 401)],
)
async def test_a_path_outside_the_contract_may_only_be_refused(path: str, method: str, status: int):
    refused = httpx.Response(status, json=NOT_FOUND)
    assert (await _send(method, path, reply=refused)).status_code == status

    with pytest.raises(AssertionError, match=r"\(not in the contract\) answered 200"):
        await _send(method, path, reply=httpx.Response(200, json={"_data": []}))
    with pytest.raises(AssertionError, match="must be answered 404 or 405"):
        await _send(method, path, reply=httpx.Response(400, json=NOT_FOUND))
    with pytest.raises(AssertionError, match=r"\(not in the contract\) answered 404"):
        await _send(method, path, reply=httpx.Response(404, json={"detail": "Not Found"}))
    with pytest.raises(AssertionError, match="content type is text/plain"):
        await _send(method, path, reply=httpx.Response(404, text="Not Found"))


async def test_a_path_below_an_ignored_prefix_is_nobodys_business():
    reply = await _send("GET", "/sandbox/v24.0/100200300400500", reply=httpx.Response(418, text="teapot"))

    assert reply.text == "teapot"
    with pytest.raises(AssertionError):
        await _send("GET", "/sandboxes", reply=httpx.Response(418, text="teapot"))


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        ({"_errors": ["Plugin not found"], "message": "Plugin not found"}, '"_data" is a required'),
        ({**NOT_FOUND, "_data": None}, r"reply \$\._data"),
        ({**NOT_FOUND, "_errors": []}, r"reply \$\._errors"),
        ({**NOT_FOUND, "_errors": [{"message": "Plugin not found"}]}, r"reply \$\._errors\[0\]"),
        ({**NOT_FOUND, "message": "Not Found"}, "not the first of _errors"),
    ],
)
async def test_a_failure_in_another_shape_is_caught(body: dict[str, Any], complaint: str):
    with pytest.raises(AssertionError, match=complaint):
        await _post(SEND, {}, reply=httpx.Response(404, json=body))


async def test_a_busy_server_must_say_when_to_come_back():
    busy = {"_data": [], "_errors": ["Busy."], "message": "Busy."}

    told = await _post(SEND, {}, reply=httpx.Response(503, json=busy, headers={"Retry-After": "1"}))

    assert told.status_code == 503
    with pytest.raises(AssertionError, match="header Retry-After: it is missing"):
        await _post(SEND, {}, reply=httpx.Response(503, json=busy))
    with pytest.raises(AssertionError, match="header Retry-After"):
        await _post(SEND, {}, reply=httpx.Response(503, json=busy, headers={"Retry-After": "soon"}))


async def test_a_reply_that_is_not_json_is_caught():
    page = json.dumps(_page()).replace("1767312005000", "NaN")

    with pytest.raises(AssertionError, match="the body is not application/json"):
        await _post(
            LIST,
            SOMEONE,
            reply=httpx.Response(
                200, content=page, headers={"Content-Type": "application/json; charset=utf-8"}
            ),
        )


async def test_a_reply_that_is_neither_accepted_nor_read_is_told_why_for_both():
    half = {"_data": {"whatsappMessageId": "wamid.X"}}
    text = {"messaging_product": "whatsapp", "to": "15550001111", "type": "text", "text": {"body": "Hi"}}

    with pytest.raises(AssertionError) as caught:
        await _post(SEND, text, reply=httpx.Response(200, json=half))

    assert 'reply (as 1) $: "messages" is a required property' in str(caught.value)
    assert 'reply (as 2) $: "success" is a required property' in str(caught.value)


@pytest.mark.parametrize(
    "template",
    [
        {},
        {"language": None, "mapping": None, "headerMapping": "", "imageUrl": "", "otpCode": None},
        {"locationLatitude": 0, "locationLongitude": "", "pluginId": "ignored"},
        {"mapping": [{"schemaPropertyName": "1", "schemaPropertyValue": 12.5}]},
    ],
)
async def test_a_template_may_be_sent_with_nulls_empty_strings_and_numbers(template: dict[str, Any]):
    order = {"whatsappPhoneNumberId": "100200300400500", "templateName": "opening_hours", **template}

    reply = await _post(TEMPLATE, order, reply=httpx.Response(200, json=_sent()))

    assert reply.status_code == 200


async def test_a_template_sent_to_what_is_no_phone_number_is_caught():
    order = {"whatsappPhoneNumberId": "100200300400500", "templateName": "opening_hours"}

    with pytest.raises(AssertionError, match="request path phoneNumber"):
        await _post(
            TEMPLATE.replace("15550001111", "%2B%20911"), order, reply=httpx.Response(200, json=_sent())
        )


@pytest.mark.parametrize("key", ["", "k" * 256])
async def test_an_idempotency_key_out_of_bounds_is_caught(key: str):
    order = {"whatsappPhoneNumberId": "100200300400500", "templateName": "opening_hours"}

    with pytest.raises(AssertionError, match="request header Idempotency-Key"):
        await _post(
            TEMPLATE, order, headers={"Idempotency-Key": key}, reply=httpx.Response(200, json=_sent())
        )


async def test_an_upload_without_its_file_is_caught():
    stored = {"_data": {"publicMediaUrl": "https://a.example.test/public-media/t/2026-01-02/f.bin"}}
    file = ("blob", b"\x00\xff\r\n--\x80", "application/octet-stream")

    good = await _send(
        "POST",
        UPLOAD,
        files={"file": file},
        data={"filename": "a.bin"},
        reply=httpx.Response(200, json=stored),
    )

    assert good.status_code == 200
    with pytest.raises(AssertionError, match=r'request \$: "file" is a required property'):
        await _send("POST", UPLOAD, files={"photo": file}, reply=httpx.Response(200, json=stored))


async def test_a_public_file_may_hold_anything():
    path = "/public-media/01942000-0000-7000-8000-000000000001/2026-01-02/a.png"

    reply = await _send(
        "GET",
        path,
        token=None,
        reply=httpx.Response(200, content=b"\x89PNG", headers={"Content-Type": "image/png"}),
    )

    assert reply.content == b"\x89PNG"


async def test_a_webhook_without_its_signature_must_not_be_taken():
    kept = httpx.Response(200, text="EVENT_RECEIVED")
    signed = {"X-Hub-Signature-256": "sha256=" + "0" * 64}

    taken = await _post(WEBHOOK, {"anything": ["goes"]}, token=None, headers=signed, reply=kept)

    assert taken.text == "EVENT_RECEIVED"
    with pytest.raises(AssertionError, match="X-Hub-Signature-256: it is missing"):
        await _post(WEBHOOK, {}, token=None, reply=httpx.Response(200, text="EVENT_RECEIVED"))
    with pytest.raises(AssertionError, match="reply"):
        await _post(WEBHOOK, {}, token=None, headers=signed, reply=httpx.Response(200, text="OK"))


async def test_a_query_parameter_out_of_bounds_is_caught():
    empty = {"_data": [], "_meta": {"hasMore": False}}

    fine = await _send(
        "GET", "/v1/samvad/webhook-delivery?limit=10&page=2", reply=httpx.Response(200, json=empty)
    )

    assert fine.status_code == 200
    with pytest.raises(AssertionError, match="request query limit"):
        await _send("GET", "/v1/samvad/webhook-delivery?limit=ten", reply=httpx.Response(200, json=empty))
    with pytest.raises(AssertionError, match="request query page"):
        await _send("GET", "/v1/samvad/webhook-delivery?page=0", reply=httpx.Response(200, json=empty))


async def test_a_delivery_shown_by_itself_has_attempts_and_one_in_a_list_has_not():
    shown = _example("/v1/samvad/webhook-delivery/{deliveryId}", "get")
    path = f"/v1/samvad/webhook-delivery/{shown['_data']['id']}"

    assert (await _send("GET", path, reply=httpx.Response(200, json=shown))).status_code == 200

    with pytest.raises(AssertionError, match="attempts"):
        await _send("POST", f"{path}/replay", reply=httpx.Response(200, json=shown))
    shown["_data"]["attempts"][0]["why"] = "?"
    with pytest.raises(AssertionError, match=r"\$\._data\.attempts\[0\]"):
        await _send("GET", path, reply=httpx.Response(200, json=shown))


async def test_a_head_is_answered_like_its_get_without_the_body():
    json_reply = {"Content-Type": "application/json"}

    reply = await _send("HEAD", "/v1/health", reply=httpx.Response(200, headers=json_reply))

    assert reply.status_code == 200
    with pytest.raises(AssertionError, match="answered 204"):
        await _send("HEAD", "/v1/health", reply=httpx.Response(204, headers=json_reply))


async def test_a_browser_may_ask_for_permission():
    asking = {"Origin": "https://app.example.test", "Access-Control-Request-Method": "POST"}

    reply = await _send("OPTIONS", LIST, headers=asking, reply=httpx.Response(200, text="OK"))

    assert reply.status_code == 200


async def test_what_the_caller_streams_still_reaches_the_server():
    async def pieces() -> AsyncIterator[bytes]:
        yield b'{"customerPhoneNumber": '
        yield b'"15550001111"}'

    wire = Wire()
    async with police.client("http://samvad.test", "key", transport=wire) as api:
        reply = await api.post(LIST, content=pieces(), headers={"Content-Type": "application/json"})

    assert json.loads(wire.arrived) == SOMEONE
    assert reply.json() == _page()


# --------------------------------------------------------------------------------------------------- helpers


class Wire(httpx.AsyncBaseTransport):
    """It takes the request off its stream, once, as a socket does; httpx.MockTransport keeps it for later."""

    arrived = b""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        assert isinstance(request.stream, httpx.AsyncByteStream)
        self.arrived = b"".join([piece async for piece in request.stream])
        return httpx.Response(200, json=_page())


async def _post(path: str, body: Any, *, reply: httpx.Response, **options: Any) -> httpx.Response:
    return await _send("POST", path, json=body, reply=reply, **options)


async def _send(
    method: str, path: str, *, reply: httpx.Response, token: str | None = "key", **options: Any
) -> httpx.Response:
    """One call, watched by the police, to a server that gives this reply whatever it is asked."""
    server = httpx.MockTransport(lambda request: reply)
    async with police.client("http://samvad.test", token, transport=server) as api:
        return await api.request(method, path, **options)


def _page() -> dict[str, Any]:
    """A good page of messages, to be spoilt."""
    return _example(LIST, "post", "both_directions")


def _sent() -> dict[str, Any]:
    """A good reply to a template send."""
    return _example(
        "/v1/ext/plugin/whatsapp/{pluginId}/phoneNumber/{phoneNumber}/send-template-message", "post"
    )


def _example(path: str, method: str, name: str | None = None) -> dict[str, Any]:
    reply = police.resolved(police.document()["paths"][path][method]["responses"]["200"])
    content = reply["content"]["application/json"]
    example: dict[str, Any] = content["example"] if name is None else content["examples"][name]["value"]
    return copy.deepcopy(example)


def _examples(node: Any, place: str) -> Iterator[tuple[str, dict[str, Any], Any]]:
    """Every example of the document with its schema, wherever OpenAPI allows one."""
    if isinstance(node, list):
        for index, item in enumerate(node):
            yield from _examples(item, f"{place}/{index}")
    if not isinstance(node, dict):
        return
    if isinstance(node.get("schema"), dict):  # a media type, a parameter or a header
        if "example" in node:
            yield f"{place}/example", node["schema"], node["example"]
        for name, example in node.get("examples", {}).items():
            yield f"{place}/examples/{name}", node["schema"], example["value"]
    elif isinstance(node.get("examples"), list):  # a schema
        for index, example in enumerate(node["examples"]):
            yield f"{place}/examples/{index}", node, example
    for key, item in node.items():
        if key not in {"example", "examples", "value"}:
            yield from _examples(item, f"{place}/{key}")


def _keys(value: Any) -> set[str]:
    return set(value) if isinstance(value, dict) else set()


def _with_an_extra_key(data: Any) -> Any:
    if isinstance(data, list):
        return [_with_an_extra_key(item) for item in data] or [{"surprise": 1}]
    return {**data, "surprise": 1}


def _seed_sample() -> dict[str, Any]:
    """The reply printed on the page this project was created from."""
    page = next((above / SEED for above in Path(__file__).parents if (above / SEED).is_file()), None)
    if page is None:
        pytest.skip(f"the seed page is not kept in the repository; put it at {SEED} beside it to run this")
    text = page.read_text("utf-8")
    _, _, sample = text.rpartition("\nExample\n")
    sample, _, _ = sample.rpartition("\nModified at")
    # The page has a comma too many after the last message.
    parsed: dict[str, Any] = json.loads(re.sub(r",(\s*[\]}])", r"\1", sample))
    return parsed


def test_whatever_needs_a_key_may_answer_that_it_is_wrong_or_used_too_often() -> None:
    for it in police.contract().operations:
        if it.needs_key:
            assert {"401", "429"} <= it.replies.keys(), it.id
