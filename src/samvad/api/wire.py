"""The shapes of the contract, key by key and in its order."""

from collections.abc import Sequence
from typing import Any

from samvad.domain.accounts.model import WebhookSecrets
from samvad.domain.accounts.profile import Shown as ShownUser
from samvad.domain.accounts.profile import User
from samvad.domain.chats.model import Chat
from samvad.domain.doctor.model import Finding
from samvad.domain.media.model import MediaFile, is_media_id
from samvad.domain.messages.model import Message, Status
from samvad.domain.photos.model import Photo
from samvad.domain.templates.knowledge import Known
from samvad.domain.templates.variables import Variable, wanted
from samvad.domain.waba.knowledge import account_state, connection_of, number_state
from samvad.domain.waba.model import PluginConfig
from samvad.domain.waba.plugins import Shown
from samvad.domain.webhooks.model import standard_secret
from samvad.whatsapp.cloud_api import DEFAULT_VERSION

DELIVERY_STATUS = {
    Status.SENDING: "PENDING",
    Status.SENT: "SENT",
    Status.FAILED: "FAILED",
    Status.DELIVERED: "DELIVERED",
    Status.READ: "READ",
}

FORMATS = {"meta": "PASS_THROUGH", "chakra": "CHAKRA", "object": "OBJECT"}


def message(it: Message, public_url: str) -> dict[str, Any]:
    """A message with the keys of the vendor's page, in its order; `public_url` is where its files are shown."""
    return {
        "id": it.id,
        "createdAt": it.created_at,
        "updatedAt": it.updated_at,
        "externalId": it.wamid,
        "provider": "WHATSAPP",
        "dataType": it.data_type or "unknown",
        "body": it.body,
        "text": it.text,
        "attachments": it.attachments and [_attachment(one, public_url) for one in it.attachments],
        "deliveryStatus": DELIVERY_STATUS[it.status],
        "direction": it.direction,
        "timestamp": it.at,
        "context": it.context,
        "adhocAgent": None,
        "source": it.source,
        "errorContext": _error_context(it),
        "team": it.team_id,
        "chat": it.chat_id,
        "plugin": it.plugin_id,
        "contact": it.contact_id,
        "user": it.user_id,
        "procedure": None,
        "process": it.process_id,
        "campaign": None,
        "inReplyTo": it.in_reply_to,
    }


def media_url(public_url: str, media_id: str, *, version: str = DEFAULT_VERSION) -> str:
    """Where a file at WhatsApp is shown by us, under the team's key, for as long as we hold it."""
    return f"{public_url}/v1/whatsapp/{version}/media/{media_id}/show"


def media_file(it: MediaFile, public_url: str) -> dict[str, Any]:
    return {
        "id": it.id,
        "createdAt": it.created_at,
        "updatedAt": it.updated_at,
        "plugin": it.plugin_id,
        "message": it.message_id,
        "mid": it.mid,
        "mimeType": it.mime_type,
        "filename": it.filename,
        "size": it.size,
        "sha256": it.sha256,
        "state": it.state,
        "attemptCount": it.attempts,
        "error": it.error,
        "retryAt": it.retry_at,
        "fetchedAt": it.fetched_at,
        "url": media_url(public_url, it.id),
    }


def photo(it: Photo) -> dict[str, Any]:
    """A photo with the keys of the vendor's page, in its order; none of them is an address."""
    return {
        "id": it.id,
        "createdAt": it.created_at,
        "updatedAt": it.updated_at,
        "filetype": it.filetype,
        "filename": it.filename,
        "height": it.height,
        "width": it.width,
        "isPublic": False,  # there is no way to make one public
        "team": it.team_id,
        "user": it.user_id,
    }


def _attachment(it: dict[str, Any], public_url: str) -> dict[str, str | None]:
    """Only its texts: what somebody sent under these names, and Meta then refused, may be anything."""
    texts = {name: value if isinstance(value, str) else None for name, value in it.items()}
    media_id = texts.get("mediaId")
    if media_id is not None and texts.get("url") is None and is_media_id(media_id):
        texts["url"] = media_url(public_url, media_id)
    return texts


def sent_message(it: Message, public_url: str) -> dict[str, Any]:
    """A message as the reply to its send shows it, also to a repeated one: chat and contact come with lists."""
    return message(it, public_url) | {"chat": None, "contact": None}


def chat(it: Chat, latest: Message | None) -> dict[str, Any]:
    """A chat: relations are bare ids; what it is with, and what was said last, stand inside it."""
    return {
        "id": it.id,
        "createdAt": it.created_at,
        "updatedAt": it.updated_at,
        "provider": "WHATSAPP",
        "externalId": it.handle,
        "status": it.status,
        "lastMessageAt": it.last_message_at,
        "unreadCount": it.unread,
        "whatsappPhoneNumberId": it.phone_number_id,
        "team": it.team_id,
        "plugin": it.plugin_id,
        "contact": it.contact_id,
        "assignedTo": it.assigned_to,
        "procedure": None,
        "process": it.process_id,
        "providerHandle": it.display_phone_number or it.phone_number_id,
        "primaryContact": {"id": it.contact_id, "name": it.contact_name, "externalId": it.handle}
        if it.contact_id
        else None,
        "primaryContactHandle": {"value": it.handle},
        "latestMessage": {
            "text": latest.text,
            "direction": latest.direction,
            "timestamp": latest.at,
            "dataType": latest.data_type or "unknown",
        }
        if latest
        else None,
        "latestMessageTs": latest.at if latest else it.last_message_at,
        "groupId": it.group_id,
        "sessionWindowClosesAt": it.window_closes_at,
        "marketingMessages": it.marketing,
        "belongsTo": it.belongs_to,
    }


def user(it: User) -> dict[str, Any]:
    """The 25 keys of the vendor's page, in its order."""
    return {
        "id": it.id,
        "createdAt": it.created_at,
        "updatedAt": it.updated_at,
        "username": it.username,
        "firstName": it.first_name,
        "lastName": it.last_name,
        "middleName": it.middle_name,
        "displayName": it.display_name,
        "gender": it.gender,
        "bio": it.bio,
        "profileImageUrl": it.profile_image_url,
        "coverImageUrl": it.cover_image_url,
        "timezone": it.timezone,
        "dob": it.dob,
        "data": it.data,
        "onboardingData": it.onboarding_data,
        "isActive": it.is_active,
        "isDeleted": it.deleted_at is not None,
        "deletedAt": it.deleted_at,
        "availabilityStatus": it.availability_status,
        "team": it.team_id,
        "role": it.role_id,
        "primaryEmail": _email(it),
        "primaryPhone": _phone(it),
        "profile": None,
    }


def shown_user(it: ShownUser) -> dict[str, Any]:
    phone = _phone(it.user)
    return {
        "phones": [phone] if phone else [],
        "emails": [_email(it.user)],
        **user(it.user),
        "reportees": [one.id for one in it.reportees],
    }


def user_in_words(it: User, team_name: str) -> dict[str, Any]:
    """The same keys for people to read: names where ids stand, and texts where objects do."""
    words = {"team": team_name, "role": it.role_name}
    return user(it) | words | {"primaryEmail": it.email, "primaryPhone": it.primary_phone}


def shown_user_in_words(it: ShownUser) -> dict[str, Any]:
    return {
        "phones": [it.user.primary_phone] if it.user.primary_phone else [],
        "emails": [it.user.email],
        **user_in_words(it.user, it.team_name),
        "reportees": [one.username for one in it.reportees],
    }


def _email(it: User) -> dict[str, Any]:
    return {
        "id": it.email_id,
        "createdAt": it.created_at,
        "updatedAt": it.created_at,
        "email": it.email,
        "normalizedEmail": it.email.lower(),
        "type": "WORK",
        "isVerified": False,  # nobody ever asked the owner of the address
        "user": it.id,
    }


def _phone(it: User) -> dict[str, Any] | None:
    if it.primary_phone is None:
        return None
    return {
        "id": it.phone_id,
        "createdAt": it.created_at,
        "updatedAt": it.created_at,
        "phone": it.primary_phone,
        "normalizedPhone": it.primary_phone,
        "type": "WORK",
        "isVerified": False,
        "user": it.id,
    }


def event(row: Any) -> dict[str, Any]:
    return {
        "id": row.id,
        "name": row.name,
        "subject": row.subject_id,
        "actor": row.actor_id,
        "data": row.data,
        "createdAt": row.at,
    }


def _error_context(it: Message) -> dict[str, Any] | None:
    """Only of what failed: a message that arrived after all has no error to show."""
    return it.error if it.status is Status.FAILED or it.direction == "INBOUND" else None


def phone_number(row: Any) -> dict[str, Any]:
    """What Meta said of it last: when it was read, or in a webhook since."""
    meta, it = row.details, number_state(row.details, row.verified_name, row.known)
    health = meta.get("health_status")
    lost = it.gone_at is not None or ((row.account_known or {}).get("connection") or {}).get("value")
    return {
        "id": row.id,
        "waba": row.waba_id,
        "pluginId": row.plugin_id,
        "displayPhoneNumber": row.display_phone_number or None,
        "verifiedName": it.verified_name,
        "status": it.status,
        "chakraStatus": connection_of(meta, lost),
        "qualityScore": {"score": it.quality},
        "messagingLimitTier": it.tier,
        "nameStatus": it.name_status,
        "codeVerificationStatus": meta.get("code_verification_status"),
        "accountMode": meta.get("account_mode"),
        "platformType": meta.get("platform_type"),
        "throughput": {"level": it.throughput} if it.throughput else None,
        "healthStatus": health if isinstance(health, dict) and "entities" in health else None,
    }


def business_account(row: Any) -> dict[str, Any]:
    it = account_state(row.details, row.name, row.known)
    return {
        "id": row.id,
        "name": row.name,
        "chakraStatus": connection_of(row.details, it.lost_by),
        "pluginId": row.plugin_id,
        "lostBy": it.lost_by,
        "reviewStatus": it.review,
        "banState": it.ban,
        "violation": it.violation,
        "restrictions": it.restrictions,
        "refreshedAt": row.refreshed_at,
    }


def plugin(it: Shown) -> dict[str, Any]:
    """A plugin; its secrets have no key here."""
    own = it.plugin
    numbers = [row.id for row in it.numbers]
    auth = {
        "whatsappBusinessAccountsById": {
            row.id: business_account(row)
            | {"phoneNumbers": [number.id for number in it.numbers if number.waba_id == row.id]}
            for row in it.accounts
        },
        "whatsappPhoneNumbersById": {row.id: phone_number(row) for row in it.numbers},
    }
    return {
        "id": own.id,
        "name": own.name,
        "type": "whatsapp",
        "isActive": own.is_active,
        "team": own.team_id,
        "createdAt": own.created_at,
        "updatedAt": own.updated_at,
        "auth": auth if it.accounts else None,
        # None named means that all may be used, so all are shown.
        "serverConfig": plugin_config(own.config)
        | {"enabledWhatsappPhoneNumbers": list(own.enabled_numbers) or numbers},
        "client": own.client,
        "tokenInvalidAt": it.token_invalid_at,
    }


def plugin_config(it: PluginConfig) -> dict[str, Any]:
    return {
        "passThroughWebhookUrl": it.pass_through_webhook_url,
        "enableMessageEchoesForPassThroughWebhook": it.enable_message_echoes_for_pass_through_webhook,
        "enableSendMessageTemplateEventForPassThroughWebhook": (
            it.enable_send_message_template_event_for_pass_through_webhook
        ),
        "enableChakraWebhook": it.enable_chakra_webhook,
        "chakraWebhookUrl": it.chakra_webhook_url,
        "whichChakraWebhookEventsToSend": it.which_chakra_webhook_events_to_send,
    }


def template(it: Known) -> dict[str, Any]:
    template = it.template
    return {
        "id": template.id,
        "wabaId": template.waba_id,
        "name": template.name,
        "language": template.language,
        "status": template.status,
        "rejectedReason": it.rejected_reason,
        "category": template.category,
        "subCategory": it.sub_category,
        "previousCategory": it.previous_category,
        "correctCategory": it.correct_category,
        "quality": it.quality,
        "qualityAt": it.quality_at,
        "parameterFormat": template.parameter_format,
        "components": list(template.components),
        "variables": [_variable(one) for one in wanted(template)],
        "createdAt": it.created_at,
        "updatedAt": it.updated_at,
        "syncedAt": it.synced_at,
    }


def _variable(it: Variable) -> dict[str, Any]:
    return {
        "part": it.part,
        "field": it.field,
        "kind": it.kind,
        "name": it.name,
        "label": it.label,
        "index": it.index,
        "card": it.card,
        "example": it.example,
        "required": it.required,
    }


def delivery(row: Any, attempts: Sequence[Any]) -> dict[str, Any]:
    last = attempts[-1] if attempts else None
    return {
        "id": row.id,
        "plugin": row.plugin_id,
        "endpoint": row.endpoint_id,
        "url": row.url,
        "format": FORMATS[row.format],
        "event": row.event,
        "phone": row.peer if row.peer and row.peer.isdigit() else None,
        "externalId": row.wamid,
        "state": row.state,
        "attemptCount": len(attempts),
        "nextAttemptAt": max(row.next_attempt_at, row.updated_at) if row.state == "PENDING" else None,
        "createdAt": row.created_at,
        "lastStatus": last.status if last else None,
        "lastError": _attempt_error(last) if last else None,
    }


def delivery_with_attempts(row: Any, attempts: Sequence[Any]) -> dict[str, Any]:
    return delivery(row, attempts) | {
        "attempts": [
            {
                "at": it.at,
                "status": it.status,
                "error": _attempt_error(it),
                "durationMs": it.duration_ms,
                "url": it.url,
                "requestHeaders": it.request_headers,
                "responseHeaders": it.response_headers,
                "responseBody": it.response_body,
            }
            for it in attempts
        ]
    }


def endpoint(row: Any, waiting: int, due_at: int | None) -> dict[str, Any]:
    next_at = max(due_at, row.rests_until_at or 0) if due_at is not None else None
    return {
        "id": row.id,
        "plugin": row.plugin_id,
        "url": row.url,
        "format": FORMATS[row.format],
        "state": "OFF" if not row.is_active else "PAUSED" if row.paused_at is not None else "ACTIVE",
        "pausedReason": row.paused_why,
        "pausedAt": row.paused_at,
        "failures": row.failures,
        "failingSince": row.failing_since_at,
        "lastDeliveredAt": row.delivered_at,
        "pendingCount": waiting,
        "nextAttemptAt": None if row.paused_why == "HAND" else next_at,
        "events": row.events,
    }


def object_webhook(row: Any, waiting: int, due_at: int | None) -> dict[str, Any]:
    who = row.acts_as
    return endpoint(row, waiting, due_at) | {
        "procedures": row.procedures,
        "actsAs": {"user": who["user_id"], "role": who["role_id"], "roleType": who["role_type"]},
    }


def webhook_secret(it: WebhookSecrets) -> dict[str, Any]:
    upcoming = it.upcoming
    return {
        "secret": it.current,
        "standardSecret": standard_secret(it.current),
        "upcoming": upcoming
        and {
            "secret": upcoming,
            "standardSecret": standard_secret(upcoming),
            "takesOverAt": it.takes_over_at,
        },
    }


def _attempt_error(it: Any) -> str | None:
    if it.error is not None or it.status is None:
        return it.error or "No answer."
    return None if 200 <= it.status < 300 else f"The receiver answered {it.status}."


def finding(it: Finding) -> dict[str, Any]:
    return {"check": it.check, "state": it.state, "words": it.words, "fix": it.fix, "plugin": it.plugin_id}
