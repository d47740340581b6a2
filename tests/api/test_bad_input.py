"""Whatever is sent, the answer is a sentence and never a 500."""

import json
from typing import Any

from tests.api.asking import DELIVERIES, LIST, NOBODY, NUMBERS, sending, sentence, templating, writing_to
from tests.contract import police
from tests.harness import PERSON, Product, until

MB = 1024 * 1024
JSON = {"Content-Type": "application/json"}


def nested(depth: int) -> bytes:
    return b'{"a":' * depth + b"1" + b"}" * depth


RAW: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "not valid JSON"),
    "JSON that breaks off": (b'{"a":', "not valid JSON"),
    "no JSON": (b"customerPhoneNumber=1", "not valid JSON"),
    "a list": (b"[]", "must be a JSON object"),
    "null": (b"null", "must be a JSON object"),
    "a string": (b'"hello"', "must be a JSON object"),
    "a number": (b"5", "must be a JSON object"),
    "NaN": (b'{"a":NaN}', "not valid JSON"),
    "a number without end": (b'{"a":1e999}', "not valid JSON"),
    "a number of many digits": (b'{"a":1' + b"0" * 5000 + b"}", "not valid JSON"),
    "bytes that are no UTF-8": (b'{"a":"\xff\xfe"}', "not valid JSON"),
    "a surrogate in UTF-8": (b'{"a":"\xed\xa0\x80"}', "not valid JSON"),
    "half a surrogate pair": (b'{"a":"\\ud800"}', "not valid JSON"),
    "a bare NUL": (b'{"a":"\x00"}', "not valid JSON"),
    "an escaped NUL": (b'{"a":{"b":["\\u0000"]}}', "NUL"),
    "an escaped NUL in a key": (b'{"a":[{"\\u0000":1}]}', "NUL"),
    "a byte order mark": (b"\xef\xbb\xbf{}", "not valid JSON"),
    "101 levels": (nested(101), "nested deeper than 100"),
    "a hundred thousand levels": (b"[" * 100_000, "nested deeper than 100"),
    "levels that never close": (b'{"a":' * 5_000, "nested deeper than 100"),
}


def operations_with_json(product: Product) -> list[str]:
    return [
        sending(product),
        templating(product),
        product.plugin(f"process/phoneNumber/{PERSON}/send-template-message"),
        LIST,
        product.plugin("update-config"),
        writing_to(product.team.phone_number_id),
    ]


async def test_a_body_that_is_no_readable_json_is_a_400_on_every_operation(product: Product) -> None:
    for path in operations_with_json(product):
        some = RAW if path in (LIST, sending(product)) else ("a list", "an escaped NUL", "101 levels")
        for what in some:
            body, words = RAW[what]
            reply = await product.api.post(path, content=body, headers=JSON)
            assert words in sentence(reply, 400), f"{what} at {path}"

    for path in operations_with_json(product):
        for content in (b'{"a":"' + b"x" * MB + b'"}', pieces_of(MB + 1)):
            assert "larger than 1,048,576 bytes" in sentence(
                await product.api.post(path, content=content, headers=JSON), 413
            )
    assert await product.listed() == []

    body = json.dumps({"customerPhoneNumber": PERSON}).encode()
    for path in operations_with_json(product):
        for content_type in (
            "",
            "text/plain",
            "application/x-www-form-urlencoded",
            "multipart/form-data",
            "json",
        ):
            reply = await product.api.post(path, content=b"a=b", headers={"Content-Type": content_type})
            called = "" if content_type == "json" else "Content-Type: application/json"
            assert called in sentence(reply, 400), f"{content_type} at {path}"

    for content_type in (
        "application/json; charset=utf-8",
        "Application/JSON",
        "application/x-www-form-urlencoded",  # what `curl -d` says by itself
        "text/plain",
        "",
    ):
        reply = await product.api.post(LIST, content=body, headers={"Content-Type": content_type})
        assert reply.status_code == 200, reply.text
    for note in ("[" * 500 + '\\"{[' * 100, "\\" * 99 + '"[{', json.loads(nested(99))):
        reply = await product.api.post(LIST, json={"customerPhoneNumber": PERSON, "note": note})
        assert reply.status_code == 200, reply.text


async def test_each_field_of_the_wrong_kind_is_named(product: Product) -> None:
    listing: dict[str, list[Any]] = {
        "customerPhoneNumber": [
            None,
            "",
            " ",
            "Ada",
            "123456",
            "1" * 16,
            True,
            1.5,
            [],
            {},
            123,
            10**30,
            -15550001111,
        ],
        "limit": [0, -1, 1001, 10**30, 1.5, "25", None, True, [], ""],
        "page": [0, -1, 1_000_001, "1", None, False],
        "skip": [-1, 1_000_001, None, "0", 0.5],
    }
    writing: dict[str, list[Any]] = {
        "from": [None, "Ada", "1" * 16, [], True],
        "text": ["", "x" * 4097, 5, None, []],
    }
    number = product.team.phone_number_id

    for path, known, fields in (
        (LIST, {"customerPhoneNumber": PERSON}, listing),
        (writing_to(number), {"from": PERSON, "text": "hi"}, writing),
    ):
        for name, values in fields.items():
            for value in values:
                reply = await product.api.post(path, json={**known, name: value})
                assert name in sentence(reply, 400), f"{name}: {value!r:.50}"
    strange: list[Any] = [None, [], "hi", {}, {"type": ""}, {"type": 5}, {"text": {"body": "x"}}]
    for it in strange:
        reply = await product.api.post(writing_to(number), json={"from": PERSON, "message": it})
        assert "`message`" in sentence(reply, 400), it
    both = {"from": PERSON, "text": "hi", "message": {"type": "text", "text": {"body": "hi"}}}
    assert "either" in sentence(await product.api.post(writing_to(number), json=both), 400)
    assert "either" in sentence(await product.api.post(writing_to(number), json={"from": PERSON}), 400)
    several = (await product.api.post(LIST, json={"limit": 0, "page": 0})).json()["_errors"]
    assert [it.split()[0] for it in several] == ["customerPhoneNumber", "limit", "page"]

    longest = {"from": f"+{PERSON}", "text": "é" * 4096}
    assert (await product.api.post(writing_to(number), json=longest)).status_code == 200
    (message,) = await until(product.listed)
    assert message["text"] == longest["text"]
    for query in (
        "limit=0",
        "limit=",
        "limit=ten",
        "limit=1001",
        "limit=%D9%A5",
        "page=0",
        "page=1.5",
        "skip=-1",
    ):
        words = sentence(await product.api.get(f"{DELIVERIES}?{query}"), 400)
        assert query.partition("=")[0] in words
    assert (await product.api.get(f"{DELIVERIES}?limit=1000&page=1000000&x=%00")).json()["_data"] == []


async def test_names_and_paths_that_lead_nowhere_are_404_and_other_methods_405(product: Product) -> None:
    number, plugin = product.team.phone_number_id, product.team.plugin_id
    hello = {"whatsappPhoneNumberId": number, "templateName": "hello_world"}
    hi = {"messaging_product": "whatsapp", "to": PERSON, "type": "text", "text": {"body": "hi"}}

    for name in (
        NOBODY,
        plugin.upper(),
        "x",
        "%00",
        f"{plugin}%00",
        "%ff%fe",
        "🙂",
        "a" * 8000,
        "..%2f..",
        "'--",
        "%",
    ):
        for method, path, body in (
            ("GET", f"{NUMBERS}/{name}", None),
            ("GET", f"{DELIVERIES}/{name}", None),
            ("POST", f"{DELIVERIES}/{name}/replay", None),
            ("GET", product.plugin("config", name), None),
            ("POST", product.plugin("update-config", name), {}),
            ("POST", product.plugin(f"api/v25.0/{number}/messages", name), hi),
            ("POST", product.plugin(f"api/v25.0/{name}/messages"), hi),
            ("POST", product.plugin(f"phoneNumber/{PERSON}/send-template-message", name), hello),
            ("POST", writing_to(name), {"from": PERSON, "text": "hi"}),
        ):
            reply = await product.api.request(method, path, json=body)
            words = sentence(reply, 404)
            assert "not found" in words or "No such path" in words, f"{method} {path}: {words}"
            assert len(words) < 9_000

    hot = sending(product)
    for path in (
        "/",
        "/v1",
        "/v1/health/",
        "/v1//health",
        "/V1/health",
        "/v1/messages",
        f"{hot}/",
        f"{hot}/x/y",
    ):
        for method in ("GET", "POST", "DELETE"):
            assert "No such path" in sentence(await product.api.request(method, path), 404), path
    # What ChakraHQ has not, or we have not yet, is not here either.
    assert "No such path" in sentence(await product.api.post(product.plugin("messages"), json={}), 404)

    for operation in police.contract().operations:
        path = operation.template.replace("{", "").replace("}", "")
        offered = {it.method for it in police.contract().operations if it.template == operation.template}
        for method in {"GET", "POST", "PUT", "PATCH", "DELETE"} - offered:
            if police.contract().find(method, path):
                continue  # a variable of another operation takes this path
            reply = await product.api.request(method, path)
            # Meta's own address tells nobody whether a plugin is there.
            if not path.startswith("/webhooks"):
                assert method in sentence(reply, 405), path
                assert operation.method in reply.headers["allow"], path


async def pieces_of(size: int) -> Any:
    """A body that does not tell its length."""
    while size > 0:
        yield b"x" * min(size, 65_536)
        size -= 65_536
