"""Schemathesis over the whole contract, against the running product: no 5xx and no undeclared reply.

    SAMVAD_FUZZ_EXAMPLES=200 bin/test tests/contract/test_schemathesis.py      a long evening instead of seconds

It makes requests of three kinds: the contract's examples, every edge of every schema, and whatever hypothesis
draws, good and bad; where a path or a body names a thing, most of them name one that is there.
"""

import asyncio
import copy
import json
import os
from collections import Counter
from collections.abc import Mapping
from random import Random
from typing import Any

import schemathesis
from schemathesis.core import NotSet
from schemathesis.core.parameters import ParameterLocation
from schemathesis.engine import events, from_schema

from samvad.whatsapp.signature import sign
from tests.contract import police
from tests.contract.inhabited import NUMBER, OTHERS_NUMBER, Inhabited, inhabited
from tests.harness import BUSINESS, OTHER_BUSINESS, PERSON, Product, Receiver

EXAMPLES = int(os.environ.get("SAMVAD_FUZZ_EXAMPLES", "3"))
LONG = EXAMPLES > 20

ALIKE = "graph_.*_(plugin|ext|v2)|.*_v2|send_template_message.*"
"""Other doors to a room that is looked at anyway (templates: by rendering them); a short run leaves their edges."""

THEIR_WORD = {
    "send_message",
    "send_template_message",
    "send_template_message_by_old_path",
    "render_template",
    "receive_meta_webhook",
}
"""What Meta judges, or is read as kindly as can be: more is accepted than is promised."""

SPARE = {"change_plugin", "delete_plugin", "update_plugin_config"}
OTHER = {"disconnect_waba", "verify_meta_webhook"}
EDGES = (
    "message_templates",
    "phone_numbers",
    "subscribed_apps",
    "media",
    "settings",
    "flows",
    "groups",
    "messages",
)
MORE_EDGES = (
    "register",
    "block_users",
    "message_qrdls",
    "whatsapp_business_profile",
    "marketing_messages",
    "username",
)
PROBLEMS_SHOWN = 30
OFTEN = 0.85
"""How likely an id is one that exists."""


async def test_nothing_that_schemathesis_makes_of_the_contract_breaks_the_server_or_the_contract(
    product: Product, receiver: Receiver
) -> None:
    world = await inhabited(product, receiver)

    told = await asyncio.to_thread(fuzz, world)

    assert not told.problems, "\n\n".join(told.problems[:PROBLEMS_SHOWN])
    assert len(told.replies) == len(police.operations())
    silent = [name for name, statuses in told.replies.items() if not {"2"} & {str(it)[0] for it in statuses}]
    assert len(silent) < len(told.replies) // 3, f"most ids are wrong: nothing but refusals from {silent}"
    await product.settle()
    assert (await product.api.get("/v1/health")).status_code == 200


class Told:
    """What a run found: a line for each problem, and how often each operation answered with which status."""

    def __init__(self) -> None:
        self.problems: list[str] = []
        self.replies: dict[str, Counter[int]] = {}

    def hear(self, event: events.EngineEvent) -> None:
        if isinstance(event, events.NonFatalError):
            self.problems.append(f"{event.label}: {event.value!r}")
        elif isinstance(event, events.FatalError):
            self.problems.append(repr(event.exception))
        elif isinstance(event, events.ScenarioFinished) and event.label is not None:
            statuses = self.replies.setdefault(event.label, Counter())
            exchanges = event.recorder.interactions
            statuses.update(it.response.status_code for it in exchanges.values() if it.response is not None)
            for case_id, checks in event.recorder.checks.items():
                for check in checks:
                    if check.failure_info is not None:
                        failure = check.failure_info.failure
                        answer = exchanges[failure.case_id or case_id].response
                        said = "" if answer is None else f"{answer.status_code} {answer.text[:500]}"
                        asked = check.failure_info.code_sample[:1000]
                        self.problems.append(
                            f"{event.label} {check.name}: {failure.message}\n{asked}\n{said}"
                        )


def fuzz(world: Inhabited) -> Told:
    """Let it ask, in a thread of its own while the product's loop goes on; what it found."""
    told = Told()
    quietly = {"enabled": False}
    config = schemathesis.Config.from_dict(
        {
            "base-url": world.product.base_url,
            "continue-on-failure": True,
            "request-timeout": 60,
            "auth": {"openapi": {"bearer": {"bearer": world.product.team.token}}},
            "generation": {
                "max-examples": EXAMPLES,
                "deterministic": not LONG,
                "database": "none",
                "no-shrink": not LONG,
            },
            "phases": {"stateful": quietly},
            "checks": {
                # A request that the file calls good may still be refused, by Meta or by what there is.
                "positive_data_acceptance": quietly,
                # Paths of variables overlap: what one of them does not offer, another one does.
                "allow_header_conformance": quietly,
            },
            "operations": []
            if LONG
            else [{"include-operation-id-regex": f"^({ALIKE})$", "phases": {"coverage": quietly}}],
        }
    )
    schema = schemathesis.openapi.from_dict(
        copy.deepcopy(police.document()),  # real ids are put into its very examples
        config=config,
    )
    real = Real(world)

    @schema.hook
    def map_case(context: Any, case: Any) -> Any:
        return real.placed(case)

    schema.hook(filter_failure)
    for event in from_schema(schema).execute():
        told.hear(event)
    return told


def filter_failure(context: Any, failure: Any, case: Any, response: Any) -> bool:
    """Whether a complaint counts."""
    name = case.operation.definition.raw["operationId"]
    kind = type(failure).__name__
    if kind == "AcceptedNegativeData":
        return name not in THEIR_WORD and not name.startswith("graph_")
    if kind == "UnsupportedMethodResponse":  # another path, whose variables fit this one too, has the method
        return (
            police.contract().find(response.request.method, response.request.path_url.partition("?")[0])
            is None
        )
    return True


class Real:
    """Puts ids of what exists into requests, and keeps what would end the run away from what others need."""

    def __init__(self, world: Inhabited) -> None:
        self._world = world
        self._random = Random(4711)
        team, ids = world.product.team, world.ids
        media, template = ids["800700600500400"], ids["900800700600500"]
        self._known: dict[str, list[Any]] = {
            "pluginId": [team.plugin_id],
            "whatsappPhoneNumberId": [NUMBER],
            "phoneNumberId": [NUMBER],
            "phoneNumber": [PERSON],
            "customerPhoneNumber": [PERSON],
            "to": [PERSON],
            "from": [PERSON],
            "wabaId": [BUSINESS.waba_id],
            "templateName": ["table_ready", "opening_hours", "spring_offer", "sign_in", "order_update"],
            "whatsappMediaId": [media],
            "mid": [media],
            "message_id": [ids["wamid.HBgLMTU1NTAwMDExMTEVAgASGBQzQTAwMDAwMDAwMDAwMDAwMDAwMAA="]],
            "templateId": [template],
            "chatId": [ids["01942000-0000-7000-8000-000000000002"]],
            "endpointId": [ids["01942000-0000-7000-8000-00000000000e"]],
            "photoId": [ids["01942000-2710-4000-8000-0000000000f0"]],
            "deliveryId": [ids["01942000-2710-7000-8000-00000000000c"]],
            "team": [team.id],
            "day": [ids["2026-01-02"]],
            "file": [ids["0b1c0000-0000-4000-8000-000000000007.pdf"]],
            "node": [NUMBER, BUSINESS.waba_id, template, media, *world.flows],
            "edge": [*EDGES, *MORE_EDGES],
            "item": world.links,
            "userId": [ids["01942000-0000-7000-8000-000000000005"]],
            "assignedTo": [ids["owner@example.com"]],
            "connectToken": [ids["a-token-of-43-characters"]],
            "hub.verify_token": [world.verify_token],
            "accessToken": [OTHER_BUSINESS.access_token],
            "appSecret": [OTHER_BUSINESS.app_secret],
        }

    def placed(self, case: Any) -> Any:
        name = case.operation.definition.raw["operationId"]
        known = self._known
        if name in SPARE:
            known = known | {"pluginId": [self._random.choice(self._world.spare_plugins)]}
        elif name in OTHER:
            known = known | {"pluginId": [self._world.other_plugin], "wabaId": [OTHER_BUSINESS.waba_id]}
        elif name == "connect_by_page":
            known = known | {"wabaId": [OTHER_BUSINESS.waba_id], "phoneNumberId": [OTHERS_NUMBER]}
        wrong = case.meta
        for place, given in (("PATH", case.path_parameters), ("QUERY", case.query), ("BODY", case.body)):
            meant_wrong = wrong is not None and wrong.is_negative_at(ParameterLocation[place])
            if isinstance(given, dict) and not meant_wrong:  # what is wrong on purpose stays wrong
                self._settle(given, known)
        if name == "receive_meta_webhook" and self._random.random() < OFTEN:
            body = case.body
            if not isinstance(body, bytes):
                body = json.dumps(None if isinstance(body, NotSet) else body).encode()
                case.body = body
            case.headers["X-Hub-Signature-256"] = sign(BUSINESS.app_secret, body)
        return case

    def _settle(self, given: dict[str, Any], known: Mapping[str, list[Any]]) -> None:
        """Where a string or a number stands under a name that is known, mostly one that is there."""
        for key in given.keys() & known.keys():
            if isinstance(given[key], str | int) and self._random.random() < OFTEN:
                given[key] = self._random.choice(known[key])
