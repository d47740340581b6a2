"""Every example of a request in the contract, sent to the product with the sandbox behind it: each succeeds."""

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import httpx

from samvad.whatsapp.signature import sign
from tests.contract import police
from tests.contract.inhabited import NUMBER, OTHERS_NUMBER, Inhabited, inhabited, real
from tests.harness import BUSINESS, OTHER_BUSINESS, Product, Receiver

FORM = "application/x-www-form-urlencoded"
ON_A_SPARE_PLUGIN = {"change_plugin", "delete_plugin", "update_plugin_config"}
ON_THE_OTHER_PLUGIN = {"disconnect_waba", "verify_meta_webhook"}
WITHOUT_SUCCESS = {f"graph_post_item_{prefix}" for prefix in ("plugin", "ext", "v1", "v2")}
"""Meta has no such call that we know of; should it have one, it passes."""


async def test_every_operation_succeeds_with_every_example_it_shows(
    product: Product, receiver: Receiver
) -> None:
    world = await inhabited(product, receiver)

    failed, succeeded = [], set()
    for operation, written in _in_order():
        for request in _requests(operation, written, world):
            await product.settle()  # a message that is folded late would open the chat that was just closed
            reply = await product.api.send(request)
            if reply.is_success:
                succeeded.add(operation.id)
            else:
                failed.append(f"{operation.id} {request.url.path}: {reply.status_code} {reply.text[:200]}")

    assert [line for line in failed if line.partition(" ")[0] not in WITHOUT_SUCCESS] == []
    assert {it.id for it in police.contract().operations} - succeeded == WITHOUT_SUCCESS


def _in_order() -> Iterator[tuple[police.Operation, dict[str, Any]]]:
    """The operations as the file has them: whoever wrote it put making before taking away."""
    known = {(it.method, it.template): it for it in police.contract().operations}
    for template, item in police.document()["paths"].items():
        for method in ("get", "post", "put", "patch", "delete"):
            if method in item:
                both = {
                    **item[method],
                    "parameters": item.get("parameters", []) + item[method].get("parameters", []),
                }
                yield known[method.upper(), template], both


def _requests(
    operation: police.Operation, written: dict[str, Any], world: Inhabited
) -> Iterator[httpx.Request]:
    """A request for each example of the body, or one where no body is shown."""
    if operation.id.startswith("graph_"):
        yield _of_meta(operation, world)
        return
    path, query, headers = operation.template, {}, {}
    for parameter in map(police.resolved, written["parameters"]):
        example = parameter.get("example", parameter["schema"].get("const"))
        if parameter["in"] == "path":
            path = path.replace(
                f"{{{parameter['name']}}}", quote(_placed(operation, world, example), safe="")
            )
        elif parameter.get("required") and parameter["in"] == "query":
            query[parameter["name"]] = _placed(operation, world, example)
    if not operation.needs_key:
        headers["Authorization"] = ""
    for media_type, example in _bodies(written):
        body = _placed(operation, world, example)
        if operation.id == "connect_by_page":
            body = {
                "wabaId": OTHER_BUSINESS.waba_id,
                "phoneNumberId": OTHERS_NUMBER,
                "accessToken": OTHER_BUSINESS.access_token,
                "appSecret": OTHER_BUSINESS.app_secret,
            }
        yield _request(operation, world, path, query, headers, media_type, body)


def _request(
    operation: police.Operation,
    world: Inhabited,
    path: str,
    query: dict[str, str],
    headers: dict[str, str],
    media_type: str | None,
    body: Any,
) -> httpx.Request:
    sent: dict[str, Any] = {"params": query}
    match media_type:
        case None:
            pass
        case "multipart/form-data":
            file = "photo" if "photo" in body else "file"
            sent["files"] = {file: ("a", body[file].encode())}
            sent["data"] = {name: value for name, value in body.items() if name != file}
        case "application/x-www-form-urlencoded":
            sent["data"] = body
        case _:
            raw = json.dumps(body).encode()
            headers = headers | {"Content-Type": media_type}
            if operation.id == "receive_meta_webhook":
                headers["X-Hub-Signature-256"] = sign(BUSINESS.app_secret, raw)
            sent["content"] = raw
    request = world.product.api.build_request(operation.method, path, headers=headers, **sent)
    if not request.headers["Authorization"]:
        del request.headers["Authorization"]
    return request


def _bodies(written: dict[str, Any]) -> Iterator[tuple[str | None, Any]]:
    """The examples of the body with their media types."""
    contents = police.resolved(written.get("requestBody", {})).get("content", {})
    for media_type, content in contents.items():
        if "example" in content:
            yield media_type, content["example"]
        for example in content.get("examples", {}).values():
            yield media_type, example["value"]
    if not contents:
        yield None, None


def _placed(operation: police.Operation, world: Inhabited, example: Any) -> Any:
    """The example with real ids, on a plugin that may suffer what the operation does."""
    plugin = "01942000-0000-7000-8000-000000000003"
    ids = dict(world.ids)
    if operation.id in ON_A_SPARE_PLUGIN:
        ids[plugin] = world.spare_plugins[0]
    if operation.id in ON_THE_OTHER_PLUGIN:
        ids |= {plugin: world.other_plugin, BUSINESS.waba_id: OTHER_BUSINESS.waba_id}
    if operation.id == "verify_meta_webhook":
        ids["a-token-of-your-choice"] = world.verify_token
    return real(example, ids)


def _of_meta(operation: police.Operation, world: Inhabited) -> httpx.Request:
    """A call of Meta's own that succeeds at this prefix."""
    _, method, step, prefix = operation.id.split("_")
    nth = ("plugin", "ext", "v1", "v2").index(prefix)
    name = f"made_{prefix}"
    body = {"type": "BODY", "text": "Hello there."}
    calls: dict[tuple[str, str], tuple[str, dict[str, Any]]] = {
        ("get", "node"): (NUMBER, {}),
        ("post", "node"): (world.flows[nth], {"json": {"name": f"renamed {prefix}"}}),
        ("delete", "node"): (world.flows[nth], {}),
        ("get", "edge"): (f"{BUSINESS.waba_id}/message_templates", {}),
        ("post", "edge"): (
            f"{BUSINESS.waba_id}/message_templates",
            {"json": {"name": name, "language": "en_US", "category": "UTILITY", "components": [body]}},
        ),
        ("delete", "edge"): (f"{BUSINESS.waba_id}/message_templates", {"params": {"name": name}}),
        ("get", "item"): (f"{NUMBER}/message_qrdls/{world.links[nth]}", {}),
        ("post", "item"): (f"{NUMBER}/message_qrdls/{world.links[nth]}", {"json": {}}),
        ("delete", "item"): (f"{NUMBER}/message_qrdls/{world.links[nth]}", {}),
    }
    path, sent = calls[method, step]
    start = operation.template[: operation.template.index("/{node}")]
    start = start.replace("{pluginId}", world.product.team.plugin_id).replace("{whatsappApiVersion}", "v25.0")
    return world.product.api.build_request(method.upper(), f"{start}/{path}", **sent)
