"""A client that others wrote, pywa, finds the Cloud API it knows behind the sandbox's address."""

import asyncio
import importlib
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from samvad.sandbox.samples import sample
from tests.redirected import Redirected
from tests.sandbox.wire import ASHA, NUMBER, SECRET, TOKEN, WABA, Wire, until

# Its packages export by lazy tables, and its parameters are class methods by turns: nothing a type checker follows.
pywa: Any = importlib.import_module("pywa")
types: Any = importlib.import_module("pywa.types")
t: Any = importlib.import_module("pywa.types.templates")
errors: Any = importlib.import_module("pywa.errors")


async def at_meta(wire: Wire, deed: Callable[[Any], Any]) -> Any:
    """Let pywa, which blocks, work beside the sandbox's own loop."""

    def work() -> Any:
        with httpx.Client(transport=Redirected(wire.url), trust_env=False) as session:
            client = pywa.WhatsApp(
                phone_id=NUMBER,
                token=TOKEN,
                waba_id=WABA,
                app_id=wire.sandbox.world.accounts[WABA].app_id,
                app_secret=SECRET,
                session=session,
            )
            return deed(client)

    return await asyncio.to_thread(work)


async def test_pywa_sends_every_kind_of_message(wire: Wire) -> None:
    customer = (await wire.writes())["wamid"]
    picture, film, voice, paper, sticker = (
        sample(kind, 1)[0] for kind in ("image", "video", "audio", "document", "sticker")
    )
    wire.receiver.file = (picture, "image/png")
    link = f"{wire.receiver.url}/file"

    def send_all(wa: Any) -> list[str]:
        uploaded = wa.upload_media(picture, mime_type="image/png", filename="tea.png")
        rows = [types.SectionRow(title="Assam", callback_data="assam", description="strong")]
        sent: list[Any] = [
            wa.send_message(ASHA, "Your tea is ready", preview_url=False, tracker="order-7"),
            wa.send_message(ASHA, "As you asked", reply_to_message_id=customer),
            wa.send_message(
                ASHA,
                "Which?",
                header="Tea",
                footer="Shop",
                buttons=[types.Button("Yes", "y"), types.Button("No", "n")],
            ),
            wa.send_message(
                ASHA, "Choose", buttons=types.SectionList("Teas", [types.Section("Black", rows)])
            ),
            wa.send_message(ASHA, "Look", buttons=types.URLButton("Open", "https://tea.example")),
            wa.send_message(
                ASHA,
                "Sign up",
                buttons=types.FlowButton(
                    title="Begin",
                    flow_id="1234",
                    flow_token="t",
                    flow_action_type=importlib.import_module("pywa.types.flows").FlowActionType.NAVIGATE,
                    flow_action_screen="FIRST",
                ),
            ),
            wa.send_image(ASHA, link, caption="Assam", mime_type="image/png"),
            wa.send_image(ASHA, uploaded.id, caption="Assam", buttons=[types.Button("Buy", "buy")]),
            wa.send_image(ASHA, picture, mime_type="image/png"),
            wa.send_video(ASHA, film, mime_type="video/mp4", caption="How it is made"),
            wa.send_audio(ASHA, voice, mime_type="audio/ogg"),
            wa.send_voice(ASHA, voice, mime_type="audio/ogg"),
            wa.send_document(ASHA, paper, filename="bill.pdf", mime_type="application/pdf"),
            wa.send_sticker(ASHA, sticker, mime_type="image/webp"),
            wa.send_location(ASHA, 12.97, 77.59, name="Tea Shop", address="M.G. Road"),
            wa.request_location(ASHA, "Where shall we bring it?"),
            wa.send_contact(
                ASHA,
                types.Contact(types.Contact.Name("Ravi Rao", "Ravi"), phones=[types.Contact.Phone("+91980")]),
            ),
            wa.send_reaction(ASHA, "👍", customer),
            wa.remove_reaction(ASHA, customer),
            wa.send_catalog(ASHA, "All our teas", thumbnail_product_sku="assam"),
            wa.send_product(ASHA, "77", "assam", body="Assam"),
            wa.send_products(
                ASHA, "77", [types.ProductsSection("Black", ["assam", "nilgiri"])], "Teas", "Our best"
            ),
            wa.send_template(ASHA, "hello_world", t.TemplateLanguage.ENGLISH_US),
            wa.send_template(
                ASHA, "order_update", t.TemplateLanguage.ENGLISH_US, [t.BodyText.params("No. 7")]
            ),
        ]
        assert wa.mark_message_as_read(customer).success
        assert wa.indicate_typing(customer).success
        return [message.id for message in sent]

    wamids = await at_meta(wire, send_all)

    assert len(set(wamids)) == 24
    await until(lambda: all("sent" in wire.receiver.told_of(wamid) for wamid in wamids))
    assert not [status for status in wire.receiver.told if status["status"] == "failed"]
    assert "order-7" in {status.get("biz_opaque_callback_data") for status in wire.receiver.told}


async def test_pywa_makes_lists_edits_and_deletes_templates(wire: Wire) -> None:
    wire.sandbox.configure(review={"delay_ms": 0})
    picture = sample("image", 2)[0]

    def work(wa: Any) -> dict[str, Any]:
        language, category = t.TemplateLanguage.ENGLISH_US, t.TemplateCategory.MARKETING
        body = t.BodyText("Hello {{1}}, your tea of today is {{2}} and it is hot.", "Asha", "Assam")
        buttons = t.Buttons(
            buttons=[
                t.QuickReplyButton(text="Stop"),
                t.URLButton(text="Look", url="https://tea.example/{{1}}", example="assam"),
                t.PhoneNumberButton(text="Call", phone_number="+14155550123"),
            ]
        )
        cards = [
            t.CarouselCard(
                components=[
                    t.HeaderImage(picture, mime_type="image/png"),
                    t.BodyText("This is a tea of ours."),
                    t.Buttons(buttons=[t.QuickReplyButton(text="More")]),
                ]
            )
            for _ in range(2)
        ]
        made = [
            wa.create_template(
                t.Template(name=name, language=language, category=category, components=components)
            )
            for name, components in {
                "plain_tea": [
                    t.HeaderText("Tea for {{1}} today", "you"),
                    body,
                    t.FooterText(text="Tea Shop"),
                    buttons,
                ],
                "tea_picture": [
                    t.HeaderImage(picture, mime_type="image/png"),
                    t.BodyText("This is a tea of ours."),
                ],
                "tea_cards": [t.BodyText("These are our teas."), t.Carousel(cards=cards)],
                "tea_offer": [
                    t.LimitedTimeOffer(text="Only today", has_expiration=True),
                    t.BodyText("Our teas cost less."),
                    t.Buttons(
                        buttons=[
                            t.CopyCodeButton(example="TEA25"),
                            t.URLButton(text="Buy", url="https://tea.example"),
                        ]
                    ),
                ],
                "tea_place": [t.HeaderLocation(), t.BodyText("This is where we are.")],
                "tea_catalog": [
                    t.BodyText("These are our teas."),
                    t.Buttons(buttons=[t.CatalogButton(text="View catalog")]),
                ],
            }.items()
        ]
        made.append(
            wa.create_template(
                t.Template(
                    name="tea_named",
                    language=language,
                    category=category,
                    parameter_format=t.ParamFormat.NAMED,
                    components=[t.BodyText("Hello {{name}}, how was your tea?", name="Asha")],
                )
            )
        )
        code = wa.create_template(
            t.Template(
                name="tea_code",
                language=language,
                category=t.TemplateCategory.AUTHENTICATION,
                message_send_ttl_seconds=300,
                components=[
                    t.AuthenticationBody(add_security_recommendation=True),
                    t.AuthenticationFooter(code_expiration_minutes=5),
                    t.Buttons(buttons=[t.CopyCodeOTPButton()]),
                ],
            )
        )
        listed = {one.name: one for one in wa.get_templates()}
        sent = wa.send_template(
            ASHA,
            "plain_tea",
            language,
            [
                t.HeaderText.params("you"),
                t.BodyText.params("Asha", "Assam"),
                t.QuickReplyButton.params(callback_data="stop", index=0),
                t.URLButton.params(url_variable="assam", index=1),
            ],
        )
        edited = wa.update_template(made[0].id, new_components=[t.BodyText("Our tea of tomorrow is better.")])
        deleted = wa.delete_template("tea_place")
        return {
            "made": made,
            "code": code,
            "listed": listed,
            "sent": sent,
            "edited": edited,
            "deleted": deleted,
            "left": [one.name for one in wa.get_templates(name="tea_place")],
        }

    done = await at_meta(wire, work)

    assert {one.status for one in done["made"]} == {t.TemplateStatus.APPROVED}
    assert done["code"].category == t.TemplateCategory.AUTHENTICATION
    assert {"plain_tea", "tea_picture", "tea_cards", "tea_offer", "tea_named", "tea_code"} <= set(
        done["listed"]
    )
    assert [type(one) for one in done["listed"]["tea_cards"].components] == [t.BodyText, t.Carousel]
    assert done["deleted"].success
    assert done["left"] == []
    await until(lambda: "read" in wire.receiver.told_of(done["sent"].id))
    rendered = [one for one in await wire.shown() if one.get("rendered")]
    assert rendered, "the phone shows the template"


async def test_pywa_uploads_downloads_and_deletes_files(wire: Wire) -> None:
    picture = sample("image", 3)[0]
    inbound = await wire.writes(type="image")
    theirs = inbound["message"]["image"]["id"]

    def work(wa: Any) -> tuple[Any, ...]:
        mine = wa.upload_media(picture, mime_type="image/png", filename="tea.png").id
        found = wa.get_media_url(mine)
        data = wa.get_media_bytes(found.url)
        received = wa.get_media_bytes(wa.get_media_url(theirs).url)
        return data, found.mime_type, received, wa.delete_media(mine).success

    data, mime_type, received, deleted = await at_meta(wire, work)

    assert (data, mime_type, deleted) == (picture, "image/png", True)
    assert received.startswith(b"\x89PNG")


async def test_pywa_reads_numbers_accounts_and_the_business_profile(wire: Wire) -> None:
    def work(wa: Any) -> tuple[Any, ...]:
        wa.update_business_profile(
            about="We make tea", industry=types.Industry.RETAIL, email="tea@tea.example"
        )
        return (
            wa.get_business_phone_number(),
            list(wa.get_business_phone_numbers()),
            wa.get_business_account(),
            wa.get_business_profile(),
        )

    number, numbers, account, profile = await at_meta(wire, work)

    assert number.verified_name == "Tea Shop"
    assert [one.id for one in numbers] == [NUMBER, "880012"]
    assert account.id == WABA
    assert profile.about == "We make tea"


async def test_pywa_knows_the_refusals(wire: Wire) -> None:
    wire.sandbox.refuse_next(80007, calls="graph", path=f"{WABA}/message_templates")

    def refused(wa: Any) -> None:
        wa.get_templates()

    with pytest.raises(errors.RateLimitIssues):
        await at_meta(wire, refused)
    await wire.control("/tokens", {"revoked": True})
    with pytest.raises(errors.ExpiredAccessToken):
        await at_meta(wire, refused)
