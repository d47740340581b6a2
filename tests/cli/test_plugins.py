"""`samvad plugins`: what is connected, beside a running server."""

import json
import subprocess
from pathlib import Path

from tests.api.asking import sentence
from tests.cli.test_cli import Shell, session, settings_of
from tests.harness import BUSINESS, copy_file, running, until

__all__ = ["session"]


async def test_plugins_are_listed_shown_and_disconnected(
    session: "subprocess.Popen[str]", migrated_sqlite: Path, tmp_path: Path
) -> None:
    url = copy_file(migrated_sqlite, tmp_path / "samvad.db")
    async with running(url, tmp_path) as product:
        samvad = Shell(session, settings_of(url, tmp_path))
        plugin_id = product.team.plugin_id

        listed = (await samvad("plugins", "list")).printed
        shown = json.loads((await samvad("plugins", "show", plugin_id)).printed)

        for words in (plugin_id, BUSINESS.waba_id, "CONNECTED", "+1 555-000-2222"):
            assert words in listed
        assert shown == (await product.api.get(f"/plugin/{plugin_id}")).json()["_data"]
        assert BUSINESS.access_token not in listed + str(shown)
        assert "not found" in (await samvad("plugins", "show", "nobody")).mistake
        assert "not found" in (await samvad("plugins", "disconnect", plugin_id, "1", "--yes")).mistake

        gone = await samvad("plugins", "disconnect", plugin_id, BUSINESS.waba_id, "--yes")

        assert gone.printed == f"WABA {BUSINESS.waba_id} is disconnected."
        assert "nothing connected" in (await samvad("plugins", "list")).printed

        async def refused() -> bool:
            return (await product.send_text("hi")).status_code == 404

        await until(refused)
        assert "not found" in sentence(await product.send_text("hi"), 404)
