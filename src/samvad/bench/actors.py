"""Those who act out a script: people at the sandbox, and a client of ours who repeats itself until it is answered."""

import asyncio
import base64
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import msgspec

from samvad.bench.rig import Rig
from samvad.bench.script import Script, Step

AT_ONCE = 48  # people who act at a time
AGAIN_S = 0.1
TIMEOUT_S = 20.0
REPEATS_S = 240.0  # how long one send is asked for before the run counts as failed

Json = dict[str, Any]


class Stuck(Exception):
    """A step could not be brought to its end; the text says which and why."""


@dataclass(slots=True)
class Acted:
    """What came of a script."""

    numbers: dict[str, int] = field(default_factory=dict)
    """Which step a wamid is of."""
    abandoned: list[int] = field(default_factory=list)
    """Sends that never reached Meta and stay ambiguous here; each was sent anew under another key."""
    repeated: int = 0
    """How often a send was asked for again, under its key."""
    unanswered: int = 0
    """Requests whose connection was lost."""


class Actors:
    """Play a script against a rig; every step waits for the one before it of the same person."""

    def __init__(self, rig: Rig, script: Script, *, troubled: bool, certain_after_s: float) -> None:
        self.acted = Acted()
        self._rig = rig
        self._script = script
        self._troubled = troubled
        self._certain_after_s = certain_after_s
        self._wamids: dict[int, str] = {}
        self._http: aiohttp.ClientSession | None = None

    async def play(self, progress: Callable[[float], None]) -> Acted:
        room, total = asyncio.Semaphore(AT_ONCE), self._script.messages

        async def perform(steps: list[Step]) -> None:
            for step in steps:
                async with room:
                    await self._do(step)
                progress(len(self._wamids) / total)

        timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
        async with (
            aiohttp.ClientSession(timeout=timeout, connector=aiohttp.TCPConnector(limit=0)) as self._http,
            asyncio.TaskGroup() as group,
        ):
            for steps in self._script.steps.values():
                group.create_task(perform(steps))
        return self.acted

    async def _do(self, step: Step) -> None:
        if step.deed == "send":
            wamid = await self._send(step)
        elif step.deed == "echo":
            said = {"type": "text", "text": {"body": step.words}}
            wamid = (await self._control(f"/phones/{step.person}/echo", said))["wamid"]
        else:
            path = f"/phones/{step.person}/messages"
            wamid = (await self._control(path, {**self._said(step), "hide_phone": step.hidden}))["wamid"]
        self._wamids[step.number] = wamid
        self.acted.numbers[wamid] = step.number

    def _said(self, step: Step) -> Json:
        target = self._wamids[step.about] if step.about is not None else None
        match step.deed:
            case "image":
                data = base64.b64encode(b"\xff\xd8\xff" + step.words.encode()).decode()
                return {
                    "type": "image",
                    "image": {"caption": step.words, "data": data, "mime_type": "image/jpeg"},
                }
            case "reaction":
                return {"type": "reaction", "reaction": {"message_id": target, "emoji": "👍"}}
            case "edit":
                text = {"type": "text", "text": {"body": step.words}}
                return {"type": "edit", "edit": {"original_message_id": target, "message": text}}
            case _:
                return {"type": "text", "text": {"body": step.words}}

    async def _send(self, step: Step) -> str:
        """Ask until we are answered; what certainly never reached Meta is written anew, as a person would."""
        message: Json = {
            "messaging_product": "whatsapp",
            "to": step.person,
            "type": "text",
            "text": {"body": step.words},
        }
        if step.about is not None:
            message["context"] = {"message_id": self._wamids[step.about]}
        if self._troubled and step.trouble is not None:
            trouble: Json = {"behaviour": step.trouble}
            if step.trouble == "throttle":
                trouble = {"code": 130429}
            await self._control("/refusals", {"to": step.person, **trouble})
        loop = asyncio.get_running_loop()
        began, key, ambiguous_since = loop.time(), f"step-{step.number}", None
        while loop.time() - began < REPEATS_S:
            status, answer = await self._ask(message, key)
            if status == 200:
                return str(answer["messages"][0]["id"])
            self.acted.repeated += 1
            if status == 409:
                ambiguous_since = ambiguous_since or loop.time()
                certain = loop.time() - ambiguous_since > self._certain_after_s
                if certain and not await self._reached_meta(step):
                    self.acted.abandoned.append(step.number)
                    key, ambiguous_since = f"{key}-anew", None
            elif status is not None and status < 500 and status != 429:
                raise Stuck(f"{step.words} was refused with {status}: {answer}")
            await asyncio.sleep(AGAIN_S)
        raise Stuck(f"{step.words} was not accepted within {REPEATS_S:.0f} s; last: {status} {answer}")

    async def _ask(self, message: Json, key: str) -> tuple[int | None, Json]:
        assert self._http is not None
        headers = {"Authorization": f"Bearer {self._rig.party.token}", "Idempotency-Key": key}
        url = f"http://127.0.0.1:{self._rig.server.port}{self._rig.party.send}"
        try:
            async with self._http.post(url, json=message, headers=headers) as reply:
                return reply.status, msgspec.json.decode(await reply.read())
        except (aiohttp.ClientError, OSError):  # a time-out is an OSError too
            self.acted.unanswered += 1
            return None, {}

    async def _reached_meta(self, step: Step) -> bool:
        """Whether the phone shows it: the one who can say what became of an ambiguous send."""
        shown = await self._control(f"/phones/{step.person}/messages", None)
        return any(it.get("text", {}).get("body") == step.words for it in shown["messages"])

    async def _control(self, path: str, body: Json | None) -> Json:
        """One call of the sandbox's control API; with no body it is a GET."""
        assert self._http is not None
        url = f"http://127.0.0.1:{self._rig.sandbox.port}{path}"
        async with self._http.request("GET" if body is None else "POST", url, json=body) as reply:
            answer: Json = msgspec.json.decode(await reply.read())
            assert reply.status == 200, f"the sandbox refused {path}: {answer}"
            return answer
