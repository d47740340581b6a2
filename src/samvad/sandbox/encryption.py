"""The public key of a number, with which Meta encrypts what flows send to the business."""

from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from samvad.sandbox.errors import GraphError, parameter_is_required
from samvad.sandbox.model import Json
from samvad.sandbox.nodes import Call, NumberCalls
from samvad.sandbox.world import Number

KEY_BITS = 2048


@dataclass
class Keys:
    """PEM by phone number id."""

    by_number: dict[str, str] = field(default_factory=dict)


async def upload_key(call: Call, number: Number) -> Json:
    """POST /{phone-number-id}/whatsapp_business_encryption, as a form or as JSON."""
    pem = (await call.parameters()).get("business_public_key")
    if not pem:
        raise parameter_is_required("business_public_key")
    if not isinstance(pem, str) or not _is_rsa_2048(pem):
        raise GraphError(100, "Business public key is not a 2048-bit RSA public key in PEM.")
    call.world.area(Keys).by_number[number.id] = pem
    return {"success": True}


async def read_key(call: Call, number: Number) -> Json:
    """GET /{phone-number-id}/whatsapp_business_encryption; no data before a key was uploaded."""
    pem = call.world.area(Keys).by_number.get(number.id)
    if pem is None:
        return {"data": []}
    return {"data": [{"business_public_key": pem, "business_public_key_signature_status": "VALID"}]}


NUMBER_CALLS: NumberCalls = {
    ("GET", "whatsapp_business_encryption"): read_key,
    ("POST", "whatsapp_business_encryption"): upload_key,
}


def _is_rsa_2048(pem: str) -> bool:
    try:
        key = load_pem_public_key(pem.encode())
    except Exception:  # cryptography raises unrelated types for broken PEM, ASN.1 and unknown algorithms
        return False
    return isinstance(key, RSAPublicKey) and key.key_size == KEY_BITS
