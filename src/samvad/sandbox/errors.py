"""Meta's refusals: which code answers with which HTTP status and title, and the body they travel in."""

import json
import re
from typing import Any

REFERENCE = "https://developers.facebook.com/docs/whatsapp/cloud-api/support/error-codes/"
MAX_HEADER_TEXT = 200  # a refusal quotes what the caller sent, and a header should not grow with it

HTTP_AND_TITLE: dict[int, tuple[int, str]] = {
    0: (401, "AuthException"),
    1: (400, "API Unknown"),
    2: (503, "API Service"),
    3: (500, "API Method"),
    4: (400, "API Too Many Calls"),
    10: (403, "Permission Denied"),
    33: (400, "Parameter value is not valid"),
    100: (400, "Invalid parameter"),
    104: (401, "An access token is required to request this resource"),
    190: (401, "Access token has expired"),
    200: (403, "API Permission"),
    368: (403, "Temporarily blocked for policies violations"),
    613: (429, "Calls to this API have exceeded the rate limit"),
    803: (404, "Some of the aliases you requested do not exist"),
    2200: (400, "Callback verification failed"),
    2500: (400, "Unknown path components"),
    80007: (400, "Rate limit issues"),
    130403: (400, "Blocked by business"),
    130429: (400, "Rate limit hit"),
    130472: (400, "User's number is part of an experiment"),
    130497: (403, "Business account is restricted from messaging users in this country"),
    131000: (500, "Something went wrong"),
    131005: (403, "Access denied"),
    131008: (400, "Required parameter is missing"),
    131009: (400, "Parameter value is not valid"),
    131016: (500, "Service unavailable"),
    131020: (400, "Bad group"),
    131021: (400, "Recipient cannot be sender"),
    131026: (400, "Message undeliverable"),
    131030: (400, "Recipient phone number not in allowed list"),
    131031: (403, "Account has been locked"),
    131037: (400, "WhatsApp provided number needs display name approval before message can be sent"),
    131041: (400, "Group unknown"),
    131042: (400, "Business eligibility payment issue"),
    131044: (400, "Payment issue"),
    131045: (500, "Incorrect certificate"),
    131047: (400, "Re-engagement message"),
    131048: (400, "Spam rate limit hit"),
    131049: (400, "This message was not delivered to maintain healthy ecosystem engagement."),
    131050: (400, "User's stopped marketing messages"),
    131051: (400, "Unsupported message type"),
    131052: (400, "Media download error"),
    131053: (400, "Media upload error"),
    131055: (400, "Method not allowed"),
    131056: (400, "(Business Account, Consumer Account) pair rate limit hit"),
    131057: (500, "Account in maintenance mode"),
    131059: (400, "Invalid or expired paging cursor"),
    131062: (400, "BSUID recipient not supported for this message"),
    131063: (400, "Marketing templates disabled on Cloud API for this WABA"),
    131064: (400, "Business messaging limit reached"),
    131201: (400, "Some participants could not be changed"),
    131202: (400, "Duplicate participant"),
    131204: (400, "Participant limit reached"),
    131207: (400, "Group suspended"),
    131208: (400, "Group rate limit hit"),
    131209: (400, "Group picture is not valid"),
    131210: (400, "Group picture cannot be read"),
    131211: (400, "Too many groups"),
    131212: (400, "Participant is not in the group"),
    131213: (400, "Join request does not exist"),
    131214: (400, "Group creation is off"),
    131215: (400, "Not eligible for groups"),
    132000: (400, "Number of parameters does not match the expected number of params"),
    132001: (404, "Template name does not exist in the translation"),
    132005: (400, "Translated text too long"),
    132007: (400, "Template format character policy violated"),
    132008: (400, "Template param value invalid"),
    132012: (400, "Parameter format does not match format in the created template"),
    132015: (400, "Template is Paused"),
    132016: (400, "Template is Disabled"),
    132018: (400, "There's an issue with the parameters in your template"),
    132068: (400, "Flow is blocked"),
    132069: (400, "Flow is throttled"),
    133000: (500, "Incomplete Deregistration"),
    133004: (503, "Server Temporarily Unavailable"),
    133005: (400, "Two step verification PIN Mismatch"),
    133006: (400, "Phone number re-verification needed"),
    133008: (400, "Too Many two step verification PIN Guesses"),
    133009: (400, "Two step verification PIN Guessed Too Fast"),
    133010: (400, "Phone number Not Registered"),
    133015: (400, "Please wait a few minutes before attempting to register this phone number"),
    133016: (400, "Account register deregister rate limit exceeded"),
    134011: (400, "WhatsApp Payments terms of service has not been accepted"),
    134100: (400, "Only marketing messages supported"),
    134101: (400, "Your template is still syncing"),
    134102: (500, "Template unavailable for use"),
    135000: (400, "Generic user error"),
    137000: (400, "Recipient identity key hash mismatch"),
    138000: (401, "Calling not enabled"),
    138001: (400, "Receiver Uncallable"),
    138002: (429, "Concurrent Calls Limit"),
    138003: (400, "Duplicate Call"),
    138004: (500, "Connection Error"),
    138005: (429, "Call Rate Limit Exceeded"),
    138006: (401, "No Approved Call Permission Found"),
    138007: (500, "Connection Timeout Error"),
    138009: (400, "Call Permission Request Limit Hit"),
    138012: (400, "Business Initiated Calls Limit Hit"),
    138013: (400, "Business-initiated calling not available"),
    138014: (400, "Calling temporarily disabled"),
    138015: (400, "Calling cannot be enabled"),
    138017: (400, "Permission request not needed"),
    138018: (400, "Calling cannot be enabled"),
    138019: (400, "Call setup failed"),
    138020: (400, "Call relay failed"),
    138021: (400, "No media received from the business"),
    139000: (400, "Blocked by integrity"),
    139001: (400, "Flow cannot be updated"),
    139002: (400, "Flow cannot be published"),
    139003: (400, "Flow cannot be deprecated"),
    139004: (400, "Flow cannot be deleted"),
    139100: (400, "Failed to block some users"),
    139101: (400, "Block list limit reached"),
    139102: (400, "Block list concurrent update"),
    139103: (400, "Block list internal error"),
    147001: (400, "Username not available"),
    147002: (400, "Account not eligible for a username"),
    200005: (400, "Template insights unavailable"),
    200006: (400, "Template insights cannot be disabled"),
    200007: (400, "Template insights are not enabled"),
    2388019: (400, "Message template limit exceeded"),
    2388040: (400, "Character limit exceeded"),
    2388293: (400, "Too many parameters for the text length"),
    2388299: (400, "Leading or trailing parameters not allowed"),
    2494100: (400, "Account in maintenance"),
}
TRANSIENT = {1, 2, 4, 80007, 130429, 131000, 131016, 131056, 131057, 133004}


class GraphError(Exception):
    """A refusal in Meta's shape; `message` replaces "(#code) title" where Meta words it otherwise.

    `headline` and `advice` are what Graph would show to a person (error_user_title, error_user_msg).
    """

    def __init__(
        self,
        code: int,
        details: str | None = None,
        *,
        message: str | None = None,
        http: int | None = None,
        kind: str = "OAuthException",
        subcode: int | None = None,
        beside: dict[str, Any] | None = None,
        headline: str | None = None,
        advice: str | None = None,
    ) -> None:
        usual_http, title = HTTP_AND_TITLE.get(code, (400, "Something went wrong"))
        super().__init__(message or f"(#{code}) {title}")
        self.code = code
        self.details = details
        self.http = http or usual_http
        self.kind = kind
        self.subcode = subcode
        self.beside = beside or {}  # what is answered next to the error, where a call succeeded in part
        self.headline = headline
        self.advice = advice

    def body(self, trace: str) -> bytes:
        """The JSON body, slashes escaped as Graph does."""
        error: dict[str, Any] = {"message": str(self), "type": self.kind, "code": self.code}
        if self.details is not None:
            error["error_data"] = {"messaging_product": "whatsapp", "details": self.details}
        if self.subcode is not None:
            error["error_subcode"] = self.subcode
        if self.code in TRANSIENT:
            error["is_transient"] = True
        if self.advice is not None:
            error |= {"is_transient": False, "error_user_title": self.headline, "error_user_msg": self.advice}
        error["fbtrace_id"] = trace
        return json.dumps({**self.beside, "error": error}, separators=(",", ":")).replace("/", "\\/").encode()

    def challenge(self) -> bytes:
        """The WWW-Authenticate header Graph sends with every refusal."""
        reason = "invalid_token" if self.code == 190 else "invalid_request"
        text = re.sub(r'[^ !#-~]|[\\"]', "?", str(self))[:MAX_HEADER_TEXT]
        return f'OAuth "Facebook Platform" "{reason}" "{text}"'.encode()


def status_error(code: int, details: str | None) -> dict[str, Any]:
    """One element of `errors` in a failed status or an unsupported message."""
    title = HTTP_AND_TITLE.get(code, (400, "Something went wrong"))[1]
    return {
        "code": code,
        "title": title,
        "message": title,
        "error_data": {"details": details or f"{title}."},
        "href": REFERENCE,
    }


def parameter_is_required(path: str) -> GraphError:
    return GraphError(100, message=f"(#100) The parameter {path} is required.")


def parameter(path: str, complaint: str) -> GraphError:
    return GraphError(100, message=f"(#100) Param {path} {complaint}")


def unexpected_key(key: str, path: str) -> GraphError:
    return GraphError(100, message=f'(#100) Unexpected key "{key}" on param "{path}".')


def invalid(headline: str, advice: str, subcode: int | None = None) -> GraphError:
    """A refusal that also tells a person what is wrong, as Graph words it for templates."""
    return GraphError(100, message="Invalid parameter", subcode=subcode, headline=headline, advice=advice)


def unknown_object(verb: str, node: str) -> GraphError:
    """What Graph says about an id that does not exist, or that this token may not see: the same words."""
    return GraphError(
        100,
        kind="GraphMethodException",
        subcode=33,
        message=(
            f"Unsupported {verb.lower()} request. Object with ID '{node}' does not exist, cannot be loaded "
            "due to missing permissions, or does not support this operation. Please read the Graph API "
            "documentation at https://developers.facebook.com/docs/graph-api"
        ),
    )
