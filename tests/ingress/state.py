"""What the product knows, as one hash: the same whatever the order, the times and the ids we gave.

What truly depends on the order of arrival is left out, or brought to what does not; each says why.
"""

import hashlib
from collections import Counter
from typing import Any

import msgspec
from sqlalchemy import Row

from samvad.domain.chats.tables import chats
from samvad.domain.contacts.tables import contact_identities, contacts
from samvad.domain.events.tables import events
from samvad.domain.inbound.tables import inbound_events
from samvad.domain.media.tables import media
from samvad.domain.messages.tables import messages, parked_statuses
from samvad.domain.processes.tables import processes
from samvad.domain.templates.tables import templates
from samvad.domain.waba.tables import business_accounts, phone_numbers
from samvad.domain.webhooks.tables import deliveries, webhook_events
from samvad.jobs.tables import jobs
from samvad.storage import Database, Tx, every_team

CHAT = ("team_id", "plugin_id", "phone_number_id", "group_id", "status", "unread")
CHAT_TIMES = ("last_message_at", "last_inbound_at")
MESSAGE = (
    *("team_id", "plugin_id", "wamid", "direction", "phone_number_id", "peer", "data_type", "body", "text"),
    *("attachments", "status", "error", "context", "source", "target_wamid", "is_imported", "second", "at"),
    *("sent_at", "delivered_at", "read_at", "failed_at"),
)
CONTACT = ("name", "search_name", "named_at", "username", "username_at", "is_imported", "marketing")
TEMPLATE_CLOCKS = ("created_at", "updated_at", "synced_at")
FILE = ("team_id", "id", "plugin_id", "mid", "mime_type", "filename", "sha256", "state")
DELIVERY = ("event", "order_key", "peer", "wamid", "state")

INTRODUCED = ("contact.created", "contact.imported", "contact.merged")
WISHES = {"contact.marketing_stopped": "stop", "contact.marketing_resumed": "resume"}
SET_UP = ("team.created", "procedure.created", "number.connected", "account.connected")
FETCHING = "media.fetch"  # the others ask Meta anew, or come to what is seen in the leads


async def state_hash(db: Database) -> str:
    """Of every team's people, chats, messages, statuses, files, templates, and of what was told of them."""
    return hashlib.sha256(msgspec.json.encode(await known(db), order="sorted")).hexdigest()


async def known(db: Database) -> dict[str, list[Any]]:
    """The same, to look at when two hashes differ."""
    return await db.read(lambda tx: View(tx).everything())


class View:
    """The rows of every team, with our ids replaced by what they stand for."""

    def __init__(self, tx: Tx) -> None:
        self.tx = tx
        people: dict[str, list[str]] = {}
        for row in self.rows(contact_identities):
            people.setdefault(row.contact_id, []).append(f"{row.team_id} {row.kind} {row.value}")
        self.who = {contact_id: sorted(names) for contact_id, names in people.items()}
        self.events = self.rows(events)
        self.gone = {it.data["gone"]: it.subject_id for it in self.events if it.name == "contact.merged"}
        self.chats = {row.id: row for row in self.rows(chats)}
        self.messages = {row.id: row for row in self.rows(messages)}
        self.bodies = {row.id: row for row in self.rows(inbound_events)}

    def rows(self, table: Any) -> list[Row[Any]]:
        return list(self.tx.all(every_team.select(table).order_by(*table.primary_key)))

    def everything(self) -> dict[str, list[Any]]:
        found = {
            "contacts": [
                [self.who.get(row.id), row.process_id is not None, *(getattr(row, it) for it in CONTACT)]
                for row in self.rows(contacts)
            ],
            "chats": [
                [self.place(it), *(getattr(it, name) for name in (*CHAT, *CHAT_TIMES))]
                for it in self.chats.values()
            ],
            "messages": [self.message(it) for it in self.messages.values()],
            "parked": [
                [row.team_id, row.wamid, row.status, row.at, row.error] for row in self.rows(parked_statuses)
            ],
            # Two people who prove to be one may each have had a lead by then: how many is a matter of time.
            "leads": [list(it) for it in {(self.person(row.contact_id),) for row in self.rows(processes)}],
            "events": [[*what, count] for what, count in Counter(self.told()).items()],
            "files": [
                [
                    self.wamid(row.message_id),
                    *(getattr(row, name) for name in FILE),
                ]
                for row in self.rows(media)
            ],
            "templates": [
                [value for name, value in row._mapping.items() if name not in TEMPLATE_CLOCKS]
                for row in self.rows(templates)
            ],
            "numbers": [
                [row.team_id, row.id, row.details.get("discovered"), said(row.known)]
                for row in self.rows(phone_numbers)
            ],
            "accounts": [
                [row.team_id, row.id, row.details.get("discovered"), said(row.known)]
                for row in self.rows(business_accounts)
            ],
            "outgoing": self.outgoing(),
            "jobs": [list(it) for it in {self.job(row) for row in self.rows(jobs) if row.name == FETCHING}],
            "problems": [
                [bytes(it.body).decode("utf-8", "replace"), it.problem, it.kept_fields]
                for it in self.bodies.values()
            ],
        }
        return {what: sorted(rows, key=repr) for what, rows in found.items()}

    def message(self, row: Row[Any]) -> list[Any]:
        chat = self.chats.get(row.chat_id or "")
        where = self.place(chat) if chat else row.chat_id and "a chat that is gone"
        whose = self.who.get(row.contact_id, "somebody who is gone") if row.contact_id else None
        return [whose, where, self.wamid(row.in_reply_to), *(getattr(row, it) for it in MESSAGE)]

    def place(self, chat: Row[Any]) -> list[Any]:
        person = self.who.get(chat.contact_id, "somebody who is gone") if chat.contact_id else None
        return [chat.phone_number_id, person, chat.group_id]

    def wamid(self, message_id: str | None) -> str | None:
        if message_id is None:
            return None
        return self.messages[message_id].wamid if message_id in self.messages else "a message that is gone"

    def person(self, contact_id: str) -> str:
        while contact_id in self.gone:
            contact_id = self.gone[contact_id]
        return repr(self.who.get(contact_id, "somebody who is gone"))

    def job(self, row: Row[Any]) -> tuple[Any, ...]:
        return row.team_id, row.name, row.lane, row.args.get("media")

    def told(self) -> list[tuple[Any, ...]]:
        """Every event, without those whose number is a matter of the order, and what does not depend on it."""
        spoken = {it.subject_id for it in self.events if it.name in ("message.received", "message.echoed")}
        told: list[tuple[Any, ...]] = []
        met: dict[str, set[str]] = {}
        merged: Counter[str] = Counter()
        live: set[str] = set()
        wishes: dict[str, str] = {}
        for it in self.events:
            if it.name in INTRODUCED:
                person = self.person(it.subject_id)
                met.setdefault(person, set()).add(it.subject_id)
                merged[person] += it.name == "contact.merged"
                live |= {person} if it.name == "contact.created" else set()
            elif it.name in WISHES:  # the last counts: a word that comes after a later one is no event
                wishes[self.person(it.subject_id)] = WISHES[it.name]
            elif it.name.startswith(("account.", "number.")):
                pass  # steps from what was known of them to what is; examples contradict each other in one second
            elif it.name.startswith("template."):  # from what was known to what is: of some steps, the last
                wishes[f"{it.name} {it.subject_id}"] = repr((it.data or {}).get("is"))
            elif it.name in ("process.created", "process.updated", "number.discovered", *SET_UP):
                pass  # see leads; where an example names one number under two accounts, the first one counts
            elif it.name == "message.imported" and it.subject_id in spoken:
                pass  # the log says that history told of it before it was heard of as it happened, if it did
            elif it.origin is not None:
                event_id, _, place = it.origin.partition("/")
                body = bytes(self.bodies[int(event_id)].body).decode("utf-8", "replace")
                data = {**(it.data or {}), "inboundEvent": None}
                told.append((it.team_id, it.name, it.subject_id, repr(data), place, body))
            elif it.subject_id in self.messages:
                told.append((it.team_id, it.name, self.wamid(it.subject_id), repr(it.data)))
            else:
                told.append((it.team_id, it.name, it.subject_id, repr(it.data)))
        # Two ids of one person, heard apart, are two people until they merge: together they are one from the start.
        told += [("met", who, len(ids) - merged[who], who in live) for who, ids in met.items()]
        return told + [("wish", who, said) for who, said in wishes.items()]

    def outgoing(self) -> list[list[Any]]:
        """What customers' endpoints will be told: Meta's own bodies, and events of ours."""
        ours = {row.id: row for row in self.rows(webhook_events)}
        found = []
        for row in self.rows(deliveries):
            about = [getattr(row, name) for name in DELIVERY]
            if row.inbound_event_id is not None:
                found.append(
                    [*about, bytes(self.bodies[row.inbound_event_id].body).decode("utf-8", "replace")]
                )
                continue
            event = msgspec.json.decode(ours[row.webhook_event_id].body)
            payload = event.get("payload", {})
            for name in ("chat", "contact"):  # ours, as they were when it was told
                payload[name] = payload.get(name) is not None
            for name in ("messageId", "id"):
                if name in payload:
                    payload[name] = self.wamid(payload[name])
            if row.event == "status":  # told once, with the moment and the reason that were heard first
                payload["timestamp"] = payload["errorContext"] = None
            found.append([*about, event])
        return found


def said(known: Any) -> list[Any]:
    """By aspect Meta's time and word; when we heard it is our own clock."""
    return sorted([aspect, it["at"], it.get("value")] for aspect, it in (known or {}).items())
