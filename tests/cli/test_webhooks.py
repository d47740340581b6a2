"""`samvad webhooks`: the log, the endpoints and the secret, from the command line of a running installation."""

import json
import re
import subprocess
from pathlib import Path

from tests.cli.test_cli import UUID, Shell, samvad, session, settings_of
from tests.harness import Receiver, copy_file, running, until

__all__ = ["samvad", "session"]


async def test_webhooks_are_listed_shown_replayed_paused_tested_and_signed_anew(
    session: "subprocess.Popen[str]",
    migrated_sqlite: Path,
    tmp_path: Path,
    receiver: Receiver,
) -> None:
    url = copy_file(migrated_sqlite, tmp_path / "samvad.db")
    async with running(url, tmp_path) as product:
        samvad = Shell(session, settings_of(url, tmp_path, allow_private_webhooks="1"))
        where = {"passThroughWebhookUrl": receiver.url}
        await product.api.post(product.plugin("update-config"), json=where)
        wamid = await product.customer_writes("hello")
        await until(lambda: receiver.got)

        async def delivered() -> str:
            log = (await samvad("webhooks", "list", "--state", "DELIVERED", "--message", wamid)).printed
            return log if "PASS_THROUGH" in log else ""

        found = UUID.search(await until(delivered))
        assert found is not None
        shown = json.loads((await samvad("webhooks", "show", found[0])).printed)
        assert (shown["id"], shown["attempts"][0]["status"]) == (found[0], 200)
        assert (await samvad("webhooks", "show", found[0], "--body")).printed == receiver.got[0][0].decode()

        assert (await samvad("webhooks", "replay", found[0])).printed == "1 delivery will go again."
        await until(lambda: len(receiver.got) == 2)
        assert (await samvad("webhooks", "replay", "--failed")).printed == "0 deliveries will go again."
        assert "Say what to replay" in (await samvad("webhooks", "replay")).err

        endpoint = UUID.search((await samvad("webhooks", "endpoints")).printed)
        assert endpoint is not None
        assert (await samvad("webhooks", "pause", endpoint[0])).printed == ""
        assert "PAUSED (HAND)" in (await samvad("webhooks", "endpoints")).printed
        assert json.loads((await samvad("webhooks", "test", endpoint[0])).printed)["state"] == "DELIVERED"
        assert (await samvad("webhooks", "resume", endpoint[0])).printed == ""
        assert "ACTIVE" in (await samvad("webhooks", "endpoints")).printed
        assert "not found" in (await samvad("webhooks", "pause", found[0])).mistake

        rotated = (await samvad("webhooks", "rotate-secret", "--overlap-hours", "1")).printed
        assert rotated.count("whsec_") == 2
        assert product.team.webhook_secret in rotated
        activated = (await samvad("webhooks", "rotate-secret", "--activate")).printed
        assert product.team.webhook_secret not in activated
        assert "rotate first" in (await samvad("webhooks", "rotate-secret", "--activate")).mistake


async def test_webhooks_about_objects_are_added_listed_and_removed(samvad: Shell) -> None:
    team = (await samvad("team", "create", "Ada's Kitchen")).printed
    some = (
        "--event",
        "process:update:post",
        "--event",
        "task:create:post",
        "--procedure",
        "lead",
        "--role",
        "Agent",
    )

    first = (await samvad("webhooks", "add-object", "https://hooks.example.com/a")).printed
    second = (await samvad("webhooks", "add-object", "https://hooks.example.com/b", *some)).printed
    listed = (await samvad("webhooks", "objects", "--team", team)).printed

    assert UUID.fullmatch(first)
    assert re.search(rf"{first} .* all .* all .* ADMIN", listed)
    assert re.search(rf"{second} .* lead .* USER", listed)
    assert (await samvad("webhooks", "endpoints")).printed.count("OBJECT") == 2
    assert "private network" in (await samvad("webhooks", "add-object", "http://127.0.0.1/")).mistake
    assert (
        "No event is named"
        in (await samvad("webhooks", "add-object", "https://x.example", "--event", "x")).mistake
    )
    assert (await samvad("webhooks", "remove-object", first)).printed == ""
    assert first not in (await samvad("webhooks", "objects")).printed
    assert "not found" in (await samvad("webhooks", "remove-object", first)).mistake
