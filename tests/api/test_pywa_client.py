"""pywa, a client of Meta's that others wrote, works through us: our address, our key, and nothing else changed."""

import asyncio
import importlib
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from samvad.sandbox.samples import sample
from tests.harness import PERSON, Product, until
from tests.redirected import Redirected

# Its packages export by lazy tables, and its parameters are class methods by turns: nothing a type checker follows.
pywa: Any = importlib.import_module("pywa")
types: Any = importlib.import_module("pywa.types")
t: Any = importlib.import_module("pywa.types.templates")
errors: Any = importlib.import_module("pywa.errors")


async def with_pywa(product: Product, deed: Callable[[Any], Any], *, key: str | None = None) -> Any:
    """Let pywa, which blocks, work beside our loop."""
    (app,) = (await product.api.get(f"/v1/whatsapp/v24.0/{product.team.waba_id}/subscribed_apps")).json()[
        "data"
    ]

    def work() -> Any:
        transport = Redirected(f"{product.base_url}/v1/whatsapp")
        with httpx.Client(transport=transport, trust_env=False) as session:
            client = pywa.WhatsApp(
                phone_id=product.team.phone_number_id,
                token=key or product.team.token,
                waba_id=product.team.waba_id,
                app_id=app["whatsapp_business_api_data"]["id"],
                session=session,
            )
            return deed(client)

    return await asyncio.to_thread(work)


async def test_pywa_sends_every_kind_of_message_through_us(product: Product) -> None:
    customer = await product.customer_writes("hello")
    picture, film, voice, paper, sticker = (
        sample(kind, 1)[0] for kind in ("image", "video", "audio", "document", "sticker")
    )
    published = await product.api.post(
        product.plugin("upload-public-media"), files={"file": ("tea.png", picture, "image/png")}
    )
    link = published.json()["_data"]["publicMediaUrl"]

    def send_all(wa: Any) -> list[str]:
        uploaded = wa.upload_media(picture, mime_type="image/png", filename="tea.png")
        rows = [types.SectionRow(title="Assam", callback_data="assam", description="strong")]
        sent: list[Any] = [
            wa.send_message(PERSON, "Your tea is ready", preview_url=False, tracker="order-7"),
            wa.send_message(PERSON, "As you asked", reply_to_message_id=customer),
            wa.send_message(
                PERSON, "Which?", header="Tea", buttons=[types.Button("Yes", "y"), types.Button("No", "n")]
            ),
            wa.send_message(
                PERSON, "Choose", buttons=types.SectionList("Teas", [types.Section("Black", rows)])
            ),
            wa.send_message(PERSON, "Look", buttons=types.URLButton("Open", "https://tea.example")),
            wa.send_image(PERSON, link, caption="Assam", mime_type="image/png"),
            wa.send_image(PERSON, uploaded.id, caption="Assam", buttons=[types.Button("Buy", "buy")]),
            wa.send_image(PERSON, picture, mime_type="image/png"),
            wa.send_video(PERSON, film, mime_type="video/mp4", caption="How it is made"),
            wa.send_audio(PERSON, voice, mime_type="audio/ogg"),
            wa.send_document(PERSON, paper, filename="bill.pdf", mime_type="application/pdf"),
            wa.send_sticker(PERSON, sticker, mime_type="image/webp"),
            wa.send_location(PERSON, 12.97, 77.59, name="Tea Shop", address="M.G. Road"),
            wa.request_location(PERSON, "Where shall we bring it?"),
            wa.send_contact(
                PERSON,
                types.Contact(types.Contact.Name("Ravi Rao", "Ravi"), phones=[types.Contact.Phone("+91980")]),
            ),
            wa.send_reaction(PERSON, "👍", customer),
            wa.send_catalog(PERSON, "All our teas", thumbnail_product_sku="assam"),
            wa.send_product(PERSON, "77", "assam", body="Assam"),
            wa.send_template(PERSON, "hello_world", t.TemplateLanguage.ENGLISH_US),
        ]
        assert wa.mark_message_as_read(customer).success
        assert wa.indicate_typing(customer).success
        return [message.id for message in sent]

    wamids = await with_pywa(product, send_all)

    assert len(set(wamids)) == 19
    assert set(wamids) <= {it["externalId"] for it in await product.listed()}

    async def none_failed() -> bool:
        states = {
            it["deliveryStatus"]
            for it in await product.listed()
            if it["externalId"] in wamids and it["dataType"] != "reaction"
        }
        assert "FAILED" not in states
        return states <= {"READ", "DELIVERED"}

    await until(none_failed)


async def test_pywa_makes_lists_edits_and_deletes_templates_through_us(product: Product) -> None:
    product.sandbox.configure(review={"delay_ms": 0})
    picture = sample("image", 2)[0]

    def work(wa: Any) -> tuple[Any, ...]:
        language = t.TemplateLanguage.ENGLISH_US
        made = wa.create_template(
            t.Template(
                name="tea_picture",
                language=language,
                category=t.TemplateCategory.MARKETING,
                components=[
                    t.HeaderImage(picture, mime_type="image/png"),
                    t.BodyText("Hello {{1}}, your tea of today is here.", "Asha"),
                ],
            )
        )
        listed = [one.name for one in wa.get_templates()]
        edited = wa.update_template(made.id, new_components=[t.BodyText("Our tea of tomorrow is better.")])
        gone = wa.delete_template("tea_picture")
        return made.status, listed, edited.success, gone.success, list(wa.get_templates(name="tea_picture"))

    status, listed, edited, gone, left = await with_pywa(product, work)

    assert status == t.TemplateStatus.APPROVED
    assert "tea_picture" in listed
    assert (edited, gone, left) == (True, True, [])


async def test_pywa_uploads_downloads_and_deletes_files_through_us(product: Product) -> None:
    picture = sample("image", 3)[0]
    theirs = await product.control.post(f"/phones/{PERSON}/messages", json={"type": "image"})
    received = theirs.json()["message"]["image"]["id"]

    def work(wa: Any) -> tuple[Any, ...]:
        mine = wa.upload_media(picture, mime_type="image/png", filename="tea.png").id
        found = wa.get_media_url(mine)
        data = wa.get_media_bytes(found.url)
        their_file = wa.get_media_bytes(wa.get_media_url(received).url)
        return data, found.url, their_file, wa.delete_media(mine).success

    data, url, their_file, deleted = await with_pywa(product, work)

    assert (data, deleted) == (picture, True)
    assert url.startswith(product.base_url)
    assert their_file.startswith(b"\x89PNG")


async def test_pywa_reads_numbers_accounts_profile_and_calling_through_us(product: Product) -> None:
    def work(wa: Any) -> tuple[Any, ...]:
        wa.update_business_profile(about="We make tea", industry=types.Industry.RETAIL)
        return (
            wa.get_business_phone_number(),
            list(wa.get_business_phone_numbers()),
            wa.get_business_account(),
            wa.get_business_profile(),
            wa.get_business_phone_number_settings(),
        )

    number, numbers, account, profile, settings = await with_pywa(product, work)

    assert number.verified_name == "Ada's Kitchen"
    assert number.id in {one.id for one in numbers}
    assert account.id == product.team.waba_id
    assert profile.about == "We make tea"
    assert settings.calling is not None


async def test_pywa_knows_what_refuses_it(product: Product) -> None:
    await product.control.post("/refusals", json={"code": 131009})

    with pytest.raises(errors.WhatsAppError) as caught:
        await with_pywa(product, lambda wa: wa.send_message(PERSON, "hello"))
    assert caught.value.code == 131009
