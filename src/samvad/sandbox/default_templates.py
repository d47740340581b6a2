"""Templates a business has when its configuration brings none: one of every shape a client must handle."""

from typing import Any

from samvad.sandbox.model import Json


def default_templates() -> tuple[Json, ...]:
    """Meta template objects, without ids; the sandbox gives stable ones."""
    return (
        _template("hello_world", "UTILITY", _body("Welcome! This message shows that sending works.")),
        _template(
            "order_update", "UTILITY", _body("Your order is on its way: {{1}}. Thank you!", "No. 1042")
        ),
        _template(
            "new_arrivals",
            "MARKETING",
            _media("IMAGE"),
            _body("Hello {{1}}, our new arrivals are here.", "Asha"),
        ),
        _template(
            "appointment_reminder",
            "UTILITY",
            {
                "type": "HEADER",
                "format": "TEXT",
                "text": "Appointment with {{1}}",
                "example": {"header_text": ["Dr. Rao"]},
            },
            _body("Dear {{1}}, we expect you on {{2}} at {{3}} o'clock.", "Asha", "3 May", "10:30"),
            {"type": "FOOTER", "text": "Reply to change the time"},
        ),
        _template(
            "shipment_tracking",
            "UTILITY",
            _body("Parcel {{1}} left our warehouse today.", "TRK-7781"),
            _buttons(
                {
                    "type": "URL",
                    "text": "Track parcel",
                    "url": "https://shop.example/track/{{1}}",
                    "example": ["https://shop.example/track/TRK-7781"],
                },
                {"type": "PHONE_NUMBER", "text": "Call us", "phone_number": "+14155550100"},
            ),
        ),
        _template(
            "feedback_request",
            "MARKETING",
            _body("Hello {{1}}, how did you like your last visit?", "Asha"),
            _buttons(
                {"type": "QUICK_REPLY", "text": "Very much"},
                {"type": "QUICK_REPLY", "text": "Not really"},
                {"type": "QUICK_REPLY", "text": "Stop promotions"},
            ),
        ),
        _template(
            "season_coupon",
            "MARKETING",
            _body("Take {{1}} percent off until Sunday with this code.", "15"),
            _buttons({"type": "COPY_CODE", "text": "Copy offer code", "example": ["SPRING15"]}),
        ),
        _template(
            "login_code",
            "AUTHENTICATION",
            {
                "type": "BODY",
                "text": "*{{1}}* is your verification code. For your security, do not share this code.",
                "add_security_recommendation": True,
                "example": {"body_text": [["123456"]]},
            },
            {
                "type": "FOOTER",
                "text": "This code expires in 10 minutes.",
                "code_expiration_minutes": 10,
            },
            _buttons(
                {
                    "type": "URL",
                    "text": "Copy code",
                    "url": "https://www.whatsapp.com/otp/code/?otp_type=COPY_CODE&code=otp{{1}}",
                    "example": ["https://www.whatsapp.com/otp/code/?otp_type=COPY_CODE&code=otp123456"],
                }
            ),
        ),
        _template(
            "store_opening",
            "MARKETING",
            {"type": "HEADER", "format": "LOCATION"},
            _body("Hello {{1}}, our new store opens around the corner.", "Asha"),
        ),
        _template("invoice", "UTILITY", _media("DOCUMENT"), _body("Here is invoice {{1}} for you.", "2042")),
        _template(
            "product_video", "MARKETING", _media("VIDEO"), _body("See how {{1}} is made.", "our coffee")
        ),
        {
            **_template(
                "delivery_slot",
                "UTILITY",
                {
                    "type": "BODY",
                    "text": "Hello {{customer_name}}, your delivery arrives on {{delivery_day}} as agreed.",
                    "example": {
                        "body_text_named_params": [
                            {"param_name": "customer_name", "example": "Asha"},
                            {"param_name": "delivery_day", "example": "Tuesday"},
                        ]
                    },
                },
            ),
            "parameter_format": "NAMED",
        },
        _template("thank_you", "UTILITY", _body("Thank you for your order, {{1}}!", "Asha")),
        {
            **_template("thank_you", "UTILITY", _body("Obrigado pelo seu pedido, {{1}}!", "Ana")),
            "language": "pt_BR",
        },
        {
            **_template("weekly_digest", "MARKETING", _body("This week at our shop: {{1}}.", "tea")),
            "status": "PAUSED",
        },
        {
            **_template("free_money", "MARKETING", _body("Win a prize today, {{1}}!", "Asha")),
            "status": "REJECTED",
            "rejected_reason": "PROMOTIONAL",
        },
    )


def _template(name: str, category: str, *components: Json) -> Json:
    return {
        "name": name,
        "category": category,
        "language": "en_US",
        "status": "APPROVED",
        "parameter_format": "POSITIONAL",
        "components": list(components),
    }


def _body(text: str, *examples: str) -> Json:
    body: dict[str, Any] = {"type": "BODY", "text": text}
    if examples:
        body["example"] = {"body_text": [list(examples)]}
    return body


def _media(kind: str) -> Json:
    return {"type": "HEADER", "format": kind, "example": {"header_handle": ["4::sample"]}}


def _buttons(*buttons: Json) -> Json:
    return {"type": "BUTTONS", "buttons": list(buttons)}
