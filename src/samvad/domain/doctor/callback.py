"""Asking our own callback address what Meta asks it: the handshake, and a signed body."""

import secrets
from dataclasses import dataclass
from urllib.parse import urlencode, urlsplit

import aiohttp

from samvad.domain.doctor.model import Finding, Patient, fault, fine, skipped
from samvad.domain.inbound.probe import PROBE, REFUSED_HEADER
from samvad.domain.webhooks.model import names_private_host
from samvad.whatsapp import signature

TIMEOUT_S = 10.0  # as long as Meta waits for a handshake
LARGEST = 4_096  # bytes of an answer that are looked at
RECENT_MS = 24 * 60 * 60 * 1000


@dataclass(frozen=True, slots=True)
class Heard:
    """An answer, or in words why there was none."""

    status: int = 0
    body: bytes = b""
    refused: str = ""
    trouble: str | None = None


async def handshake(patient: Patient, address: str, *, from_outside: bool) -> Finding:
    """GET with a challenge, as Meta verifies an address; `from_outside`: it is really Meta that must reach it."""
    again = f"SAMVAD_PUBLIC_URL=https://your.domain {patient.reconnect}    # once the server answers there"
    if from_outside and (not address.startswith("https://") or names_private_host(address)):
        return fault("callback", f"Meta delivers to public https addresses only; ours is {address}", again)
    challenge = str(secrets.randbelow(10**10))
    query = {"hub.mode": "subscribe", "hub.verify_token": patient.verify_token, "hub.challenge": challenge}
    heard = await _ask("GET", f"{address}?{urlencode(query)}")
    if heard.trouble is not None:
        return fault(
            "callback", f"{address} cannot be reached: {heard.trouble}", f"samvad serve    # or {again}"
        )
    if heard.status == 200 and heard.body.strip() == challenge.encode():
        return fine("callback", f"{address} answers the challenge")
    if heard.status == 401:
        words = f"{address} does not know this verify token: another installation answers there"
    elif heard.status == 404:
        words = f"{address} answers 404: another installation, or a proxy that cuts the path"
    elif 300 <= heard.status < 400:
        words = f"{address} redirects ({heard.status}), and Meta follows no redirect"
    elif heard.status == 200:
        words = f"{address} answers, but not with the challenge: another server is there"
    else:
        words = f"{address} answers {heard.status} instead of the challenge"
    return fault("callback", words, again)


async def signed_body(patient: Patient, address: str, *, now: int, proven: bool | None) -> Finding:
    """POST a body that says nothing, signed rightly and wrongly; `proven`: Meta has confirmed the app secret.

    The body is known to ingress, which keeps nothing of it.
    """
    right = await _ask("POST", address, signature.sign(patient.app_secret, PROBE))
    if right.trouble is not None:
        return skipped("signature", "the callback cannot be reached")
    if proven is False:
        words = "the app secret kept here is not that of Meta's app, so every webhook is refused"
        return fault("signature", words, patient.reconnect)
    if right.status != 200:
        words = f"a rightly signed body is answered {right.status} instead of 200"
        return fault("signature", words, patient.reconnect)
    wrong = await _ask("POST", address, signature.sign(patient.app_secret + "?", PROBE))
    if wrong.status != 401:
        words = f"a wrongly signed body is answered {wrong.status or 'not at all'} instead of 401"
        return fault(
            "signature", words, "samvad serve    # Samvad itself must answer there, not a proxy's page"
        )
    count, last = _refused(right.refused)
    if not count or now - last > RECENT_MS:
        return fine("signature", "right ones are taken, wrong ones refused")
    minutes = max(0, now - last) // 60_000
    words = f"{count} webhooks were refused for a wrong signature, the last {minutes} minutes ago"
    if proven:
        return fine("signature", f"the app secret is right; {words}, so a stranger or another app sent them")
    return fault(
        "signature", f"{words}: the app secret kept here may not be that of Meta's app", patient.reconnect
    )


async def _ask(method: str, url: str, signed: str | None = None) -> Heard:
    headers = {"Content-Type": "application/json"} if signed else {}
    if signed:
        headers["X-Hub-Signature-256"] = signed
    timeout, host = aiohttp.ClientTimeout(total=TIMEOUT_S), urlsplit(url).netloc
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.request(
                method, url, data=PROBE if signed else None, headers=headers, allow_redirects=False
            ) as answer,
        ):
            body = await answer.content.read(LARGEST)
            return Heard(answer.status, body, answer.headers.get(REFUSED_HEADER, ""))
    except aiohttp.ClientConnectorDNSError:
        return Heard(trouble=f"the DNS knows no {host}")
    except (aiohttp.ClientConnectorCertificateError, aiohttp.ClientSSLError) as error:
        return Heard(trouble=f"the TLS certificate of {host} is not good ({_short(error)})")
    except aiohttp.ClientConnectorError as error:
        return Heard(trouble=f"nothing takes connections at {host} ({_short(error)})")
    except TimeoutError:
        return Heard(trouble=f"{host} did not answer within {TIMEOUT_S:.0f} s")
    except (aiohttp.ClientError, OSError, ValueError) as error:
        return Heard(trouble=f"{host} broke off ({_short(error)})")


def _short(error: BaseException) -> str:
    reason = getattr(error, "os_error", None) or error
    return (getattr(reason, "strerror", None) or str(reason) or type(error).__name__)[:120]


def _refused(header: str) -> tuple[int, int]:
    count, _, last = header.partition(" ")
    return (int(count), int(last)) if count.isdigit() and last.isdigit() else (0, 0)
