"""The JSON API as one ASGI application: its routes are exactly the operations of contract/openapi.yaml."""

import re
from functools import partial

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from samvad.api import (
    chats,
    contract,
    graph,
    health,
    media,
    messages,
    numbers,
    photos,
    plugins,
    processes,
    samvad,
    templates,
    users,
    webhooks,
)
from samvad.api.call import Call, Endpoint, Served, Services
from samvad.asgi.errors import not_allowed as method_not_allowed
from samvad.asgi.replies import Reply
from samvad.kit.errors import NotFound

EXT = "/v1/ext"
PLUGIN = f"{EXT}/plugin/whatsapp/{{pluginId}}"
SEND = f"{PLUGIN}/api/{{whatsappApiVersion}}/{{whatsappPhoneNumberId}}/messages"
PROCESS = f"{EXT}/procedure/{{procedureShortId}}/process"
BY_KEY = f"{PROCESS}/{{primaryKeyShortId}}/{{primaryKeyValue}}"
MEDIA = "/whatsapp/{whatsappApiVersion}/media"

GRAPH_PREFIXES = (
    f"{PLUGIN}/api/{{whatsappApiVersion}}",
    f"{EXT}/plugin/whatsapp/api/{{whatsappApiVersion}}",
    "/v1/whatsapp/{whatsappApiVersion}",
    "/v2/whatsapp/{whatsappApiVersion}",
)
GRAPH_STEPS = ("{node}", "{node}/{edge}", "{node}/{edge}/{item}")

OPERATIONS: tuple[tuple[str, str, Endpoint, str], ...] = (
    ("GET", "/v1/health", health.health, "optional"),
    ("POST", SEND, messages.send_message, "required"),
    # The literal `process/phoneNumber` stands before whatever process/{…} will come.
    (
        "POST",
        f"{PLUGIN}/process/phoneNumber/{{phoneNumber}}/send-template-message",
        messages.send_template_message,
        "required",
    ),
    (
        "POST",
        f"{PLUGIN}/phoneNumber/{{phoneNumber}}/send-template-message",
        messages.send_template_message,
        "required",
    ),
    (
        "POST",
        f"{EXT}/plugin/whatsapp/list-chat-messages-for-phone-number",
        messages.list_chat_messages_for_phone_number,
        "required",
    ),
    (
        "POST",
        f"{PLUGIN}/process/{{procedureShortId}}/{{primaryKeyOrId}}/send-template-message",
        messages.send_template_message_for_process,
        "required",
    ),
    (
        "POST",
        f"{PLUGIN}/process/{{processId}}/send-template-message",
        messages.send_template_message_for_process,
        "required",
    ),
    # `list` and `bulk-create` are only posted to, and an id never is: they do not meet.
    ("POST", f"{PROCESS}/list", processes.list_processes, "required"),
    ("POST", f"{PROCESS}/bulk-create", processes.bulk_create, "required"),
    ("POST", PROCESS, processes.create_process, "required"),
    ("PATCH", PROCESS, processes.bulk_update, "required"),
    ("GET", f"{PROCESS}/{{processId}}", processes.get_process, "required"),
    ("PUT", f"{PROCESS}/{{processId}}", processes.update_process, "required"),
    ("DELETE", f"{PROCESS}/{{processId}}", processes.delete_process, "required"),
    ("PUT", BY_KEY, processes.update_process, "required"),
    ("DELETE", BY_KEY, processes.delete_process, "required"),
    (
        "POST",
        f"{EXT}/p/{{procedureShortId}}/{{processIdOrPrimaryKey}}/task/{{stateTaskShortId}}",
        processes.create_task,
        "required",
    ),
    ("GET", f"{EXT}/background-job/{{backgroundJobId}}", processes.show_background_job, "required"),
    (
        "GET",
        f"{EXT}/background-job/{{backgroundJobId}}/entries",
        processes.list_background_job_entries,
        "required",
    ),
    ("GET", f"{EXT}/config", processes.show_config, "required"),
    ("POST", f"{EXT}/chat", chats.list_chats, "required"),
    ("POST", f"{EXT}/chat/{{chatId}}/message", chats.list_messages_of_chat, "required"),
    ("GET", "/v1/samvad/chat/{chatId}", chats.show_chat, "required"),
    ("POST", "/v1/samvad/chat/{chatId}/close", chats.close_chat, "required"),
    ("POST", "/v1/samvad/chat/{chatId}/open", chats.open_chat, "required"),
    ("POST", "/v1/samvad/chat/{chatId}/read", chats.read_chat, "required"),
    ("POST", "/v1/samvad/chat/{chatId}/assign", chats.assign_chat, "required"),
    ("GET", "/v1/samvad/settings", chats.show_settings, "required"),
    ("POST", "/v1/samvad/settings", chats.change_settings, "required"),
    ("POST", f"{PLUGIN}/upload-public-media", media.upload_public_media, "required"),
    ("GET", "/public-media/{team}/{day}/{file}", media.show_public_media, "none"),
    *(
        operation
        for version in ("/v1", "/v2")
        for operation in (
            (
                "GET",
                f"{version}{MEDIA}/whatsapp_business/attachments",
                media.show_media_attachment,
                "required",
            ),
            ("GET", f"{version}{MEDIA}/{{whatsappMediaId}}/show", media.show_media, "required"),
            ("GET", f"{version}{MEDIA}/{{whatsappMediaId}}", media.show_media_object, "required"),
        )
    ),
    ("POST", f"{EXT}/photo", photos.upload_photo, "required"),
    ("POST", f"{EXT}/photo/{{photoId}}", photos.upload_photo_as, "required"),
    ("GET", f"{EXT}/photo/{{photoId}}", photos.show_photo, "required"),
    ("GET", f"{EXT}/whatsapp-phone-number", numbers.list_phone_numbers, "required"),
    ("GET", f"{EXT}/whatsapp-phone-number/{{phoneNumberId}}", numbers.show_phone_number, "required"),
    ("GET", f"{EXT}/whatsapp-business-account", numbers.list_business_accounts, "required"),
    ("GET", f"{PLUGIN}/config", numbers.show_plugin_config, "required"),
    ("POST", f"{PLUGIN}/update-config", numbers.update_plugin_config, "required"),
    ("POST", "/plugin", plugins.create_plugin, "required"),
    ("GET", "/plugin", plugins.list_plugins, "required"),
    ("GET", "/plugin/{pluginId}", plugins.show_plugin, "required"),
    ("PUT", "/plugin/{pluginId}", plugins.change_plugin, "required"),
    ("DELETE", "/plugin/{pluginId}", plugins.delete_plugin, "required"),
    ("POST", f"{EXT}/whatsapp-partner/create-connect-token", plugins.create_connect_token, "required"),
    ("POST", f"{EXT}/whatsapp-partner/disconnect-waba", plugins.disconnect_waba, "required"),
    ("GET", f"{EXT}/users", users.list_users, "required"),
    ("GET", "/v2/ext/users", users.list_users_in_words, "required"),
    ("GET", f"{EXT}/user/{{userId}}", users.show_user, "required"),
    ("GET", "/v2/ext/user/{userId}", users.show_user_in_words, "required"),
    *(
        (method, f"{EXT}/user/{{userId}}", users.change_user, "required")
        for method in ("PUT", "PATCH", "POST")
    ),
    (
        "POST",
        "/v1/samvad/whatsapp-phone-number/{phoneNumberId}/test-message",
        samvad.receive_test_message,
        "required",
    ),
    (
        "POST",
        "/v1/samvad/whatsapp-phone-number/{phoneNumberId}/refresh",
        numbers.refresh_phone_number,
        "required",
    ),
    ("GET", "/v1/samvad/doctor", samvad.show_doctor, "required"),
    ("GET", "/v1/samvad/template", templates.list_templates, "required"),
    ("POST", "/v1/samvad/template/sync", templates.sync_templates, "required"),
    ("GET", "/v1/samvad/template/{templateId}", templates.show_template, "required"),
    ("POST", "/v1/samvad/template/{templateId}/render", templates.render_template, "required"),
    ("GET", "/v1/samvad/event", samvad.list_events, "required"),
    ("GET", "/v1/samvad/media", media.list_media, "required"),
    ("POST", "/v1/samvad/media/{whatsappMediaId}/fetch", media.fetch_media, "required"),
    ("GET", "/v1/samvad/webhook-delivery", webhooks.list_webhook_deliveries, "required"),
    ("POST", "/v1/samvad/webhook-delivery/replay", webhooks.replay_webhook_deliveries, "required"),
    ("GET", "/v1/samvad/webhook-delivery/{deliveryId}", webhooks.show_webhook_delivery, "required"),
    ("GET", "/v1/samvad/webhook-delivery/{deliveryId}/body", webhooks.show_webhook_delivery_body, "required"),
    ("POST", "/v1/samvad/webhook-delivery/{deliveryId}/replay", webhooks.replay_webhook_delivery, "required"),
    ("GET", "/v1/samvad/webhook-endpoint", webhooks.list_webhook_endpoints, "required"),
    ("POST", "/v1/samvad/webhook-endpoint/{endpointId}/pause", webhooks.pause_webhook_endpoint, "required"),
    ("POST", "/v1/samvad/webhook-endpoint/{endpointId}/resume", webhooks.resume_webhook_endpoint, "required"),
    ("POST", "/v1/samvad/webhook-endpoint/{endpointId}/test", webhooks.test_webhook_endpoint, "required"),
    ("POST", "/v1/samvad/object-webhook", webhooks.add_object_webhook, "required"),
    ("GET", "/v1/samvad/object-webhook", webhooks.list_object_webhooks, "required"),
    ("DELETE", "/v1/samvad/object-webhook/{endpointId}", webhooks.remove_object_webhook, "required"),
    ("GET", "/v1/samvad/webhook-secret", webhooks.show_webhook_secret, "required"),
    ("POST", "/v1/samvad/webhook-secret/rotate", webhooks.rotate_webhook_secret, "required"),
    ("POST", "/v1/samvad/webhook-secret/activate", webhooks.activate_webhook_secret, "required"),
    ("GET", "/openapi.json", contract.show_contract, "none"),
    # Last, since their paths are made of variables: whatever is not ours is Meta's.
    *(
        (method, f"{prefix}/{steps}", graph.pass_through, "required")
        for prefix in GRAPH_PREFIXES
        for steps in GRAPH_STEPS
        for method in ("GET", "POST", "DELETE")
    ),
)

_send_path = re.compile(
    r"/v1/ext/plugin/whatsapp/(?P<pluginId>[^/]+)/api/(?P<whatsappApiVersion>[^/]+)"
    r"/(?P<whatsappPhoneNumberId>[^/]+)/messages"
)


class Api:
    """Routes calls; the one operation that carries the load is looked at first."""

    def __init__(self, services: Services) -> None:
        self._send = Served(services, messages.send_message)
        self._others = _starlette(services)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "POST":
            found = _send_path.fullmatch(scope["path"])
            if found is not None:
                return await self._send.serve(scope, receive, send, found.groupdict())
        await self._others(scope, receive, send)
        return None


def _starlette(services: Services) -> ASGIApp:
    nowhere = Served(services, _nowhere)
    routes = [
        Route(_whole(path), Served(services, endpoint, key=key), methods=[method])
        for method, path, endpoint, key in OPERATIONS
    ]

    async def not_found(request: Request, _: Exception) -> Response:
        """A wrong key is a 401 on every path, also on one that does not exist."""
        return _Replying(nowhere)

    async def not_allowed(request: Request, _: Exception) -> Response:
        allow = _offered(request)
        return _Replying(Served(services, partial(_not_offered, allow=allow), key="optional"))

    cors = Middleware(
        CORSMiddleware,
        allow_origins=["*"],
        allow_methods=["*"],
        allow_headers=[
            "authorization",
            "content-type",
            "accept",
            "x-chakra-sdk",
            "idempotency-key",
            "x-request-id",
        ],
        expose_headers=["retry-after", "x-request-id"],
        max_age=86400,
    )
    app = Starlette(
        routes=routes,
        middleware=[cors],
        exception_handlers={404: not_found, 405: not_allowed},
    )
    app.router.redirect_slashes = False  # a path with a slash behind it is another path: 404, not 307
    return app


def _whole(path: str) -> str:
    """A primary key may hold a slash, which a server shows us decoded: whatever follows is the key."""
    return path.replace("{primaryKeyValue}", "{primaryKeyValue:path}")


def _offered(request: Request) -> str:
    """Every method of a path; Starlette's own word names those of its first route alone."""
    here = [it for it in request.app.routes if it.matches(request.scope)[0] is not Match.NONE]
    return ", ".join(sorted({method for it in here if isinstance(it, Route) for method in it.methods or ()}))


async def _nowhere(call: Call) -> Reply:
    raise NotFound(f"No such path: {call.scope['path'][:200]}; see /openapi.json for what there is.")


async def _not_offered(call: Call, *, allow: str) -> Reply:
    return method_not_allowed(
        f"{call.scope['method']} is not offered here; see /openapi.json for what is.", allow=allow
    )


class _Replying(Response):
    """A response that is one of our own endpoints' replies."""

    def __init__(self, served: Served) -> None:
        super().__init__()
        self._served = served

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._served(scope, receive, send)
