"""Templates: what they want, what comes of a caller's values, and what is said when they do not fit."""

import contextlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from samvad.domain.templates.checking import META_FORMAT_CALL, problems
from samvad.domain.templates.filling import Filled, fill
from samvad.domain.templates.model import Template, choose
from samvad.domain.templates.values import MAX_VARIABLES, TemplateValues
from samvad.kit.errors import BadRequest, NotFound, SamvadError

Json = dict[str, Any]


def template(
    *components: Json,
    name: str = "order_update",
    language: str = "en_US",
    status: str = "APPROVED",
    category: str = "UTILITY",
    **more: Any,
) -> Template:
    item = {"id": "5001", "name": name, "language": language, "status": status, "category": category}
    return Template.from_meta({**item, "components": list(components), **more}, waba_id="7001")


def header(text: str) -> Json:
    return {"type": "HEADER", "format": "TEXT", "text": text}


def media_header(kind: str) -> Json:
    return {"type": "HEADER", "format": kind}


def body(text: str) -> Json:
    return {"type": "BODY", "text": text}


def buttons(*listed: Json) -> Json:
    return {"type": "BUTTONS", "buttons": list(listed)}


def reply_button(text: str = "Stop") -> Json:
    return {"type": "QUICK_REPLY", "text": text}


def link_button(text: str = "Track", url: str = "https://shop.example/{{1}}") -> Json:
    return {"type": "URL", "text": text, "url": url}


def code_template(**more: Any) -> Template:
    return template(
        body("*{{1}}* is your code."),
        buttons(link_button("Copy code", "https://wa.example/otp/?code=otp{{1}}")),
        name="login_code",
        category="AUTHENTICATION",
        **more,
    )


def entry(name: object, value: object) -> Json:
    return {"schemaPropertyName": name, "schemaPropertyValue": value}


def refusal(of: Template, values: TemplateValues) -> tuple[str, ...]:
    with pytest.raises(BadRequest) as raised:
        fill(of, values)
    return tuple(raised.value.problems)


def components_of(filled: Filled) -> list[Json]:
    return list(filled.payload["components"])


class TestReadingMetasList:
    def test_words_are_read_in_any_case(self) -> None:
        item = {
            "id": 5001,
            "name": "order_update",
            "language": "en",
            "status": "approved",
            "category": "utility",
            "parameter_format": "named",
            "components": [{"type": "body", "text": "Hi {{first_name}}"}],
        }

        read = Template.from_meta(item, waba_id="7001")

        assert (read.id, read.status, read.category, read.waba_id) == ("5001", "APPROVED", "UTILITY", "7001")
        assert read.parameter_format == "NAMED"
        assert read.body_variables == ("first_name",)

    def test_an_item_with_nothing_in_it_is_still_read(self) -> None:
        read = Template.from_meta({}, waba_id="7001")

        assert read.status == "UNKNOWN"
        assert read.parameter_format == "POSITIONAL"
        assert fill(read, TemplateValues()).text == ""

    @pytest.mark.parametrize("listed", [None, "", {}, [None, "x"], [{"type": None}], [{"type": "BUTTONS"}]])
    def test_odd_components_count_as_none(self, listed: object) -> None:
        read = Template.from_meta({"name": "odd", "components": listed}, waba_id="7001")

        assert components_of(fill(read, TemplateValues())) == []

    def test_an_unstated_format_is_seen_in_the_placeholders(self) -> None:
        assert template(body("Hi {{first_name}}")).parameter_format == "NAMED"
        assert template(body("Hi {{1}}")).parameter_format == "POSITIONAL"

    def test_a_stated_format_wins_over_the_placeholders(self) -> None:
        stated = template(body("Write {{name}} or {{1}}"), parameter_format="POSITIONAL")

        assert stated.body_variables == ("1",)

    def test_the_buttons_that_want_a_value_are_counted_without_the_others(self) -> None:
        several = template(
            buttons(
                reply_button(),
                link_button("Shop", "https://shop.example"),
                link_button("Track"),
                {"type": "COPY_CODE", "text": "Copy"},
            )
        )

        wanting = [(b.name, b.index, b.label, b.sub_type) for b in several.button_variables]

        assert wanting == [("1", 2, "Track", "url"), ("2", 3, "Copy", "copy_code")]


class TestReadingTheCall:
    def test_every_field_is_read(self) -> None:
        values = TemplateValues.from_wire(
            {
                "mapping": [entry("1", "Ada")],
                "headerMapping": [entry("1", "Spring")],
                "buttonMapping": [entry("1", "A-7")],
                "imageUrl": "https://files.example/a.png",
                "videoUrl": "https://files.example/a.mp4",
                "documentUrl": " https://files.example/a.pdf ",
                "filename": "a.pdf",
                "locationLatitude": 12.5,
                "locationLongitude": "77.25",
                "locationName": "Depot",
                "locationAddress": "1 Main Road",
                "otpCode": 123456,
                "whatsappPhoneNumberId": "100200300400500",
            }
        )

        assert values == TemplateValues(
            body={"1": "Ada"},
            header={"1": "Spring"},
            buttons={"1": "A-7"},
            image_url="https://files.example/a.png",
            video_url="https://files.example/a.mp4",
            document_url="https://files.example/a.pdf",
            filename="a.pdf",
            latitude=12.5,
            longitude=77.25,
            location_name="Depot",
            location_address="1 Main Road",
            otp_code="123456",
        )

    @pytest.mark.parametrize("blank", [None, "", "absent"])
    def test_blank_fields_are_absent(self, blank: str | None) -> None:
        keys = [
            *("mapping", "headerMapping", "buttonMapping", "imageUrl", "videoUrl", "documentUrl", "filename"),
            *("locationLatitude", "locationLongitude", "locationName", "locationAddress", "otpCode"),
        ]

        values = TemplateValues.from_wire({} if blank == "absent" else dict.fromkeys(keys, blank))

        assert values == TemplateValues()

    def test_a_client_that_sends_all_its_defaults_sends_a_plain_template(self) -> None:
        defaults = {
            **dict.fromkeys(("imageUrl", "videoUrl", "documentUrl", "filename", "otpCode"), ""),
            "locationLatitude": 0,
            "locationLongitude": 0,
            "mapping": [entry("", "")],
        }

        filled = fill(template(body("Hello")), TemplateValues.from_wire(defaults))

        assert components_of(filled) == []

    @pytest.mark.parametrize(
        ("given", "read"),
        [(7, "7"), (7.5, "7.5"), (0.00001, "0.00001"), (1e21, "1" + "0" * 21), ("Ada", "Ada"), (None, "")],
    )
    def test_numbers_become_the_text_people_write(self, given: object, read: str) -> None:
        assert TemplateValues.from_wire({"mapping": [entry(1, given)]}).body == {"1": read}

    @pytest.mark.parametrize("name", ["1", " 1 ", "{{1}}", "{{ 1 }}", "{1}", 1])
    def test_braces_around_a_name_do_not_matter(self, name: object) -> None:
        assert TemplateValues.from_wire({"mapping": [entry(name, "Ada")]}).body == {"1": "Ada"}

    @pytest.mark.parametrize("mapping", [{"1": "Ada"}, entry("1", "Ada"), [entry("1", "Ada")]])
    def test_a_mapping_may_be_a_list_an_object_or_a_single_entry(self, mapping: object) -> None:
        assert TemplateValues.from_wire({"mapping": mapping}).body == {"1": "Ada"}

    def test_all_fields_of_the_wrong_type_are_named_at_once(self) -> None:
        call = {
            "mapping": "1",
            "headerMapping": ["1"],
            "buttonMapping": [entry("1", ["x"]), entry(True, "x")],
            "imageUrl": ["https://files.example/a.png"],
            "locationLatitude": "north",
            "locationLongitude": True,
            "otpCode": {},
        }

        with pytest.raises(BadRequest) as raised:
            TemplateValues.from_wire(call)

        starts = [problem.split(" must ")[0] for problem in raised.value.problems]
        assert starts == [
            "mapping",
            "headerMapping[0]",
            "buttonMapping[0].schemaPropertyValue",
            "buttonMapping[1].schemaPropertyName",
            "imageUrl",
            "locationLatitude",
            "locationLongitude",
            "otpCode",
        ]

    @pytest.mark.parametrize(
        ("call", "told"),
        [
            ({"mapping": [entry("1", "a"), entry("{{1}}", "b")]}, "{{1}} more than once"),
            ({"mapping": [{"schemaPropertyName": "1", "value": "a"}]}, "no schemaPropertyValue for {{1}}"),
            ({"mapping": [{"schemaPropertyValue": "a"}]}, "mapping[0] has no schemaPropertyName"),
            ({"mapping": [entry(str(n), "a") for n in range(MAX_VARIABLES + 1)]}, "100 is the most"),
            ({"mapping": [None]}, "mapping[0] must be"),
            ({"mapping": [entry("1", float("nan"))]}, "not infinite or NaN"),
            ({"filename": "x" * 40_000}, "filename is longer than"),
            ({"locationLatitude": 10**400}, "locationLatitude must be a number"),
        ],
    )
    def test_a_mistake_is_told_in_words(self, call: Json, told: str) -> None:
        with pytest.raises(BadRequest) as raised:
            TemplateValues.from_wire(call)

        assert told in raised.value.problems[0]


class TestVariables:
    def test_a_plain_template_wants_nothing(self) -> None:
        filled = fill(template(body("We are open.")), TemplateValues())

        assert filled == Filled(
            payload={
                "name": "order_update",
                "language": {"code": "en_US", "policy": "deterministic"},
                "components": [],
            },
            text="We are open.",
            header_text=None,
        )

    def test_values_go_into_the_header_and_the_body(self) -> None:
        greeting = template(header("{{1}} news"), body("Hi {{1}}, order {{2}} is here."))

        filled = fill(greeting, TemplateValues(header={"1": "Good"}, body={"2": "A-7", "1": "Ada"}))

        assert filled.header_text == "Good news"
        assert filled.text == "Hi Ada, order A-7 is here."
        assert components_of(filled) == [
            {"type": "header", "parameters": [{"type": "text", "text": "Good"}]},
            {
                "type": "body",
                "parameters": [{"type": "text", "text": "Ada"}, {"type": "text", "text": "A-7"}],
            },
        ]

    def test_the_nth_parameter_is_the_nth_placeholder_wherever_it_stands(self) -> None:
        filled = fill(
            template(body("{{2}} for {{1}}, {{2}}!")), TemplateValues(body={"1": "Ada", "2": "News"})
        )

        texts = [parameter["text"] for parameter in components_of(filled)[0]["parameters"]]
        assert texts == ["Ada", "News"]
        assert filled.text == "News for Ada, News!"

    def test_the_tenth_placeholder_comes_after_the_second(self) -> None:
        ten = template(body(" ".join(f"{{{{{n}}}}}" for n in range(1, 11))))

        assert ten.body_variables == tuple(str(n) for n in range(1, 11))

    def test_named_parameters_carry_their_names(self) -> None:
        named = template(body("Hi {{first_name}}, {{order}} and {{first_name}}"), parameter_format="NAMED")

        filled = fill(named, TemplateValues(body={"order": "A-7", "first_name": "Ada"}))

        assert components_of(filled)[0]["parameters"] == [
            {"type": "text", "text": "Ada", "parameter_name": "first_name"},
            {"type": "text", "text": "A-7", "parameter_name": "order"},
        ]
        assert filled.text == "Hi Ada, A-7 and Ada"

    def test_a_placeholder_inside_a_value_stays_as_it_is(self) -> None:
        filled = fill(template(body("{{1}} {{2}}")), TemplateValues(body={"1": "{{2}}", "2": r"\1"}))

        assert filled.text == r"{{2}} \1"

    def test_a_missing_variable_is_named_with_the_entry_to_add(self) -> None:
        told = refusal(template(body("Hi {{1}}")), TemplateValues())

        assert told == (
            "(#132000) order_update needs the body variable {{1}}; "
            'add {"schemaPropertyName": "1", "schemaPropertyValue": "…"} to mapping',
        )

    def test_all_missing_variables_are_named(self) -> None:
        told = refusal(
            template(header("{{1}}"), body("{{1}} {{2}} {{3}}"), buttons(link_button("Track"))),
            TemplateValues(body={"2": "x"}),
        )

        assert "the body variables {{1}} and {{3}}" in told[0]
        assert "the header variable {{1}}" in told[1]
        assert "the button variable {{1}} (the button “Track”)" in told[2]
        assert all("132000" in problem for problem in told)
        assert [problem.rsplit(" ", 1)[1] for problem in told] == [
            "mapping",
            "headerMapping",
            "buttonMapping",
        ]

    def test_an_unknown_variable_is_named_after_the_missing_ones(self) -> None:
        told = refusal(template(body("Hi {{1}}")), TemplateValues(body={"name": "Ada"}))

        assert "needs the body variable {{1}}" in told[0]
        assert told[1] == (
            "(#132000) order_update has no body variable {{name}}, only the body variable {{1}}; "
            "remove it from mapping"
        )

    def test_too_many_variables_are_refused(self) -> None:
        told = refusal(template(body("Hello")), TemplateValues(body={"1": "x", "2": "y"}, buttons={"1": "z"}))

        assert "has no body variables {{1}} and {{2}}, and needs none; remove them from mapping" in told[0]
        assert "has no button variable {{1}}" in told[1]

    def test_a_row_left_empty_for_a_variable_that_does_not_exist_is_ignored(self) -> None:
        filled = fill(template(body("Hi {{1}}")), TemplateValues(body={"1": "Ada", "2": ""}))

        assert filled.text == "Hi Ada"

    @pytest.mark.parametrize("blank", ["", " ", "   "])
    def test_an_empty_value_is_refused(self, blank: str) -> None:
        told = refusal(template(body("Hi {{1}}")), TemplateValues(body={"1": blank}))

        assert told[0].startswith("(#131008) order_update: the body variable {{1}} is empty")

    @pytest.mark.parametrize("value", ["a\nb", "a\tb", "a\r\nb", "a     b"])
    def test_a_value_that_does_not_stay_on_one_line_is_refused(self, value: str) -> None:
        told = refusal(template(body("Hi {{1}}")), TemplateValues(body={"1": value}))

        assert "132018" in told[0]
        assert "cannot have new-line/tab characters or more than 4 consecutive spaces" in told[0]

    def test_four_spaces_in_a_row_are_fine(self) -> None:
        assert fill(template(body("{{1}}")), TemplateValues(body={"1": "a    b"})).text == "a    b"

    def test_a_value_beyond_all_limits_is_refused(self) -> None:
        told = refusal(template(body("{{1}}")), TemplateValues(body={"1": "x" * 32_769}))

        assert "longer than 32,768 characters" in told[0]

    def test_an_error_repeats_only_the_beginning_of_a_long_name(self) -> None:
        told = refusal(template(body("Hi")), TemplateValues(body={"x" * 10_000: "Ada"}))

        assert len(told[0]) < 300


class TestHeaders:
    @pytest.mark.parametrize(
        ("kind", "key", "values"),
        [
            ("IMAGE", "imageUrl", TemplateValues(image_url="https://files.example/a.png")),
            ("VIDEO", "videoUrl", TemplateValues(video_url="https://files.example/a.png")),
        ],
    )
    def test_a_picture_or_film_is_sent_by_its_link(self, kind: str, key: str, values: TemplateValues) -> None:
        pictured = template(media_header(kind), body("Look"))

        filled = fill(pictured, values)

        link = {"link": "https://files.example/a.png"}
        assert components_of(filled) == [
            {"type": "header", "parameters": [{"type": kind.lower(), kind.lower(): link}]}
        ]
        assert filled.header_text is None
        assert key in refusal(pictured, TemplateValues())[0]

    @pytest.mark.parametrize(
        ("url", "given", "sent"),
        [
            ("https://files.example/2026/Rechnung%20M%C3%A4rz.pdf?sig=1", None, "Rechnung März.pdf"),
            ("https://files.example/a.pdf", "Invoice.pdf", "Invoice.pdf"),
            ("https://files.example/a.pdf", "  ", "a.pdf"),
            ("https://files.example/..%2F..%2Fa.pdf", None, "a.pdf"),
            ("https://files.example/a%0Ab.pdf", None, "ab.pdf"),
            ("https://files.example/", None, None),
            ("https://files.example", None, None),
        ],
    )
    def test_a_document_has_the_name_given_or_that_of_its_link(
        self, url: str, given: str | None, sent: str | None
    ) -> None:
        receipt = template(media_header("DOCUMENT"), body("Here"))

        filled = fill(receipt, TemplateValues(document_url=url, filename=given))

        document = components_of(filled)[0]["parameters"][0]["document"]
        assert document == ({"link": url, "filename": sent} if sent else {"link": url})

    @pytest.mark.parametrize(
        "url",
        [
            "files.example/a.png",
            "ftp://files.example/a.png",
            "https://",
            "/a.png",
            "https://[::1/a.png",
            "https://files.example/my file.png",
            "https://files.example/" + "a" * 2_000,
        ],
    )
    def test_only_a_public_web_link_will_do(self, url: str) -> None:
        told = refusal(template(media_header("IMAGE")), TemplateValues(image_url=url))

        assert told[0].startswith("(#131009) order_update: imageUrl ")

    def test_a_link_for_another_kind_of_header_is_refused_and_the_right_one_named(self) -> None:
        told = refusal(
            template(media_header("DOCUMENT")), TemplateValues(image_url="https://files.example/a.png")
        )

        assert "send documentUrl" in told[0]
        assert "remove imageUrl" in told[1]

    def test_a_place_is_sent_with_what_is_known_of_it(self) -> None:
        delivery = template(media_header("LOCATION"), body("Here it is"))

        bare = fill(delivery, TemplateValues(latitude=12.5, longitude=77.25))
        full = fill(
            delivery,
            TemplateValues(
                latitude=12.5, longitude=77.25, location_name="Depot", location_address="1 Main Road"
            ),
        )

        where = {"latitude": 12.5, "longitude": 77.25}
        assert components_of(bare)[0]["parameters"] == [{"type": "location", "location": where}]
        assert components_of(full)[0]["parameters"][0]["location"] == {
            **where,
            "name": "Depot",
            "address": "1 Main Road",
        }

    def test_zero_zero_is_a_place_only_where_a_place_is_wanted(self) -> None:
        origin = TemplateValues(latitude=0.0, longitude=0.0)

        assert components_of(fill(template(body("Hi")), origin)) == []
        assert components_of(fill(template(media_header("LOCATION")), origin))[0]["parameters"][0][
            "location"
        ] == {"latitude": 0.0, "longitude": 0.0}

    def test_a_place_nobody_asked_for_is_refused(self) -> None:
        told = refusal(template(body("Hi")), TemplateValues(latitude=0.0, longitude=77.25))

        assert "takes no location" in told[0]

    def test_a_place_without_coordinates_or_off_the_globe_is_refused(self) -> None:
        delivery = template(media_header("LOCATION"))

        assert "send locationLongitude" in refusal(delivery, TemplateValues(latitude=1.0))[0]
        assert "between -90 and 90" in refusal(delivery, TemplateValues(latitude=91.0, longitude=1.0))[0]


class TestButtons:
    def test_each_dynamic_link_gets_its_value_at_its_own_index(self) -> None:
        several = template(
            body("Hi"),
            buttons(reply_button(), link_button("Track"), {"type": "PHONE_NUMBER"}, link_button("Pay")),
        )

        filled = fill(several, TemplateValues(buttons={"1": "A-7", "2": "pay/9"}))

        assert components_of(filled) == [
            {
                "type": "button",
                "sub_type": "url",
                "index": "1",
                "parameters": [{"type": "text", "text": "A-7"}],
            },
            {
                "type": "button",
                "sub_type": "url",
                "index": "3",
                "parameters": [{"type": "text", "text": "pay/9"}],
            },
        ]

    def test_replies_calls_and_fixed_links_want_nothing(self) -> None:
        fixed = template(
            buttons(
                reply_button(),
                {"type": "PHONE_NUMBER", "phone_number": "15550001111"},
                link_button("Shop", "https://shop.example"),
                {"type": "VOICE_CALL"},
            )
        )

        assert components_of(fill(fixed, TemplateValues())) == []

    def test_a_coupon_comes_from_the_button_mapping(self) -> None:
        offer = template(body("Save"), buttons(reply_button(), {"type": "COPY_CODE"}), category="MARKETING")

        filled = fill(offer, TemplateValues(buttons={"1": "25OFF"}))

        assert components_of(filled) == [
            {
                "type": "button",
                "sub_type": "copy_code",
                "index": "1",
                "parameters": [{"type": "coupon_code", "coupon_code": "25OFF"}],
            }
        ]
        assert "longer than 20" in refusal(offer, TemplateValues(buttons={"1": "x" * 21}))[0]

    @pytest.mark.parametrize("kind", ["FLOW", "CATALOG"])
    def test_a_flow_or_catalog_is_named_without_parameters(self, kind: str) -> None:
        filled = fill(template(body("Book"), buttons(reply_button(), {"type": kind})), TemplateValues())

        assert components_of(filled) == [{"type": "button", "sub_type": kind.lower(), "index": "1"}]


class TestOneTimeCodes:
    @pytest.mark.parametrize(
        "values",
        [
            TemplateValues(otp_code="4321"),
            TemplateValues(otp_code=" 4321 ", body={"1": ""}),
            TemplateValues(body={"1": "4321"}),
            TemplateValues(body={"1": "4321"}, buttons={"1": "4321"}),
            TemplateValues(otp_code="4321", body={"1": "4321"}, buttons={"1": "4321"}),
        ],
    )
    def test_the_code_goes_into_the_body_and_behind_the_button(self, values: TemplateValues) -> None:
        filled = fill(code_template(), values)

        text = {"type": "text", "text": "4321"}
        assert components_of(filled) == [
            {"type": "body", "parameters": [text]},
            {"type": "button", "sub_type": "url", "index": "0", "parameters": [text]},
        ]
        assert filled.text == "*4321* is your code."

    @pytest.mark.parametrize("otp_type", ["COPY_CODE", "ONE_TAP", "ZERO_TAP"])
    def test_a_template_as_it_was_created_is_filled_like_one_as_it_is_listed(self, otp_type: str) -> None:
        created = template(
            {"type": "BODY", "add_security_recommendation": True},
            buttons({"type": "OTP", "otp_type": otp_type}),
            category="",
        )

        filled = fill(created, TemplateValues(otp_code="4321"))

        assert [component["type"] for component in components_of(filled)] == ["body", "button"]
        assert filled.text == "*4321* is your verification code. For your security, do not share this code."

    def test_a_missing_code_is_one_problem(self) -> None:
        told = refusal(code_template(), TemplateValues(body={"1": ""}))

        assert len(told) == 1
        assert "132000" in told[0]
        assert "{{1}}" in told[0]
        assert "otpCode" in told[0]

    def test_different_codes_are_refused_without_repeating_them(self) -> None:
        told = refusal(code_template(), TemplateValues(otp_code="4321", body={"1": "8765"}))

        assert "different ones" in told[0]
        assert "4321" not in "".join(told)
        assert "8765" not in "".join(told)

    @pytest.mark.parametrize("code", ["x" * 16, "12\n34"])
    def test_a_code_that_does_not_fit_is_refused_without_repeating_it(self, code: str) -> None:
        told = refusal(code_template(), TemplateValues(otp_code=code))

        assert len(told) == 1
        assert code not in told[0]

    def test_a_code_of_fifteen_characters_fits(self) -> None:
        assert "x" * 15 in fill(code_template(), TemplateValues(otp_code="x" * 15)).text

    def test_a_code_for_a_template_without_one_is_refused(self) -> None:
        told = refusal(template(body("Hi")), TemplateValues(otp_code="4321"))

        assert "remove otpCode" in told[0]


class TestEveryOtherKind:
    def test_a_carousel_is_filled_card_by_card(self) -> None:
        card = [media_header("IMAGE"), body("Only {{1}}"), buttons(reply_button("More"), link_button("Shop"))]
        shop = template(body("Hi {{1}}"), {"type": "CAROUSEL", "cards": [{"components": card}] * 2})
        given = {
            "mapping": {"1": "Ada"},
            "cards": [
                {
                    "imageUrl": f"https://files.example/{nth}.png",
                    "mapping": {"1": f"{nth} left"},
                    "buttonMapping": {"1": f"p{nth}", "More": f"MORE_{nth}"},
                }
                for nth in (0, 1)
            ],
        }

        filled = fill(shop, TemplateValues.from_wire(given))

        assert filled.text == "Hi Ada"
        carousel = components_of(filled)[-1]
        assert carousel["type"] == "carousel"
        assert [it["card_index"] for it in carousel["cards"]] == [0, 1]
        assert carousel["cards"][1]["components"] == [
            {
                "type": "header",
                "parameters": [{"type": "image", "image": {"link": "https://files.example/1.png"}}],
            },
            {"type": "body", "parameters": [{"type": "text", "text": "1 left"}]},
            {
                "type": "button",
                "sub_type": "quick_reply",
                "index": "0",
                "parameters": [{"type": "payload", "payload": "MORE_1"}],
            },
            {
                "type": "button",
                "sub_type": "url",
                "index": "1",
                "parameters": [{"type": "text", "text": "p1"}],
            },
        ]

    def test_what_a_card_lacks_is_named_with_its_place(self) -> None:
        card = {"components": [media_header("VIDEO"), body("{{1}}")]}
        shop = template(body("Hi"), {"type": "carousel", "cards": [card, card]})

        told = refusal(shop, TemplateValues.from_wire({"cards": [{}, {"videoUrl": LINK, "imageUrl": LINK}]}))

        assert told[0].endswith("to cards[0].mapping")
        assert "order_update, card 1 has a header of the kind VIDEO; send cards[0].videoUrl" in told[1]
        assert told[2].endswith("to cards[1].mapping")
        assert "remove cards[1].imageUrl" in told[3]

    def test_as_many_cards_as_the_template_has(self) -> None:
        card = {"components": [media_header("IMAGE"), body("x")]}
        shop = template(body("Hi"), {"type": "CAROUSEL", "cards": [card, card]})

        told = refusal(shop, TemplateValues.from_wire({"cards": [{"imageUrl": LINK}]}))

        assert told == (
            "(#132012) order_update has 2 cards, but cards gives 1; "
            'send one object for each card, such as {"imageUrl": …}',
        )
        assert (
            "is no carousel; remove cards"
            in refusal(template(body("Hi")), TemplateValues.from_wire({"cards": [{}]}))[0]
        )

    def test_an_offer_carries_its_end_and_its_code(self) -> None:
        offer = {
            "type": "LIMITED_TIME_OFFER",
            "limited_time_offer": {"text": "Hurry", "has_expiration": True},
        }
        sale = template(
            offer, body("Hi"), buttons({"type": "COPY_CODE", "text": "Copy"}, link_button("Book"))
        )
        given = {"offerExpiresAt": 1_798_761_600_000, "couponCode": "25OFF", "buttonMapping": {"Book": "x"}}

        filled = fill(sale, TemplateValues.from_wire(given))

        offered, copied, booked = components_of(filled)
        assert offered["parameters"] == [
            {
                "type": "limited_time_offer",
                "limited_time_offer": {"expiration_time_ms": 1_798_761_600_000},
            }
        ]
        assert copied["parameters"] == [{"type": "coupon_code", "coupon_code": "25OFF"}]
        assert booked["index"] == "1"
        assert "send offerExpiresAt" in refusal(sale, TemplateValues(buttons={"1": "25OFF", "2": "x"}))[0]

    def test_an_offer_without_an_end_wants_none(self) -> None:
        offer = {"type": "LIMITED_TIME_OFFER", "limited_time_offer": {"text": "Hurry"}}

        assert fill(template(offer, body("Hi")), TemplateValues()).text == "Hi"

    def test_two_different_coupon_codes_are_a_question(self) -> None:
        sale = template(body("Hi"), buttons({"type": "COPY_CODE", "text": "Copy"}))

        assert fill(sale, TemplateValues(coupon_code="A", buttons={"1": "A"}))
        assert "differ" in refusal(sale, TemplateValues(coupon_code="A", buttons={"1": "B"}))[0]

    def test_a_product_header_carries_the_product(self) -> None:
        cart = template(media_header("PRODUCT"), body("Look"), buttons({"type": "SPM", "text": "View"}))

        filled = fill(cart, TemplateValues(product_retailer_id="sku-1", catalog_id="77"))

        assert components_of(filled) == [
            {
                "type": "header",
                "parameters": [
                    {"type": "product", "product": {"product_retailer_id": "sku-1", "catalog_id": "77"}}
                ],
            }
        ]
        assert "send productRetailerId" in refusal(cart, TemplateValues())[0]

    def test_a_gif_is_sent_as_the_short_film_it_is(self) -> None:
        filled = fill(template(media_header("GIF"), body("Look")), TemplateValues(video_url=LINK))

        assert components_of(filled)[0]["parameters"] == [{"type": "video", "video": {"link": LINK}}]

    def test_sections_of_products_are_written_as_meta_wants_them(self) -> None:
        cart = template(body("Look"), buttons({"type": "MPM", "text": "View"}))
        given = {
            "thumbnailProductRetailerId": "sku-1",
            "sections": [{"title": "New", "productRetailerIds": ["sku-1", 7]}],
        }

        filled = fill(cart, TemplateValues.from_wire(given))

        assert components_of(filled)[0]["parameters"][0]["action"] == {
            "thumbnail_product_retailer_id": "sku-1",
            "sections": [
                {
                    "title": "New",
                    "product_items": [{"product_retailer_id": "sku-1"}, {"product_retailer_id": "7"}],
                }
            ],
        }
        told = refusal(cart, TemplateValues())
        assert ["thumbnailProductRetailerId" in told[0], "sections" in told[1]] == [True, True]

    def test_a_flow_or_catalog_may_be_told_more(self) -> None:
        flow = template(body("Book"), buttons({"type": "FLOW", "text": "Book"}))
        catalog = template(body("See"), buttons({"type": "CATALOG", "text": "See"}))

        opened = fill(flow, TemplateValues(flow_token="t", flow_action_data={"a": 1}))
        shown = fill(catalog, TemplateValues(thumbnail_product_retailer_id="sku-1"))

        assert components_of(opened)[0]["parameters"] == [
            {"type": "action", "action": {"flow_token": "t", "flow_action_data": {"a": 1}}}
        ]
        assert components_of(shown)[0]["parameters"] == [
            {"type": "action", "action": {"thumbnail_product_retailer_id": "sku-1"}}
        ]

    def test_what_a_template_has_no_place_for_is_named(self) -> None:
        given = {
            "couponCode": "A",
            "offerExpiresAt": 1,
            "productRetailerId": "A",
            "catalogId": "A",
            "thumbnailProductRetailerId": "A",
            "sections": [{"productRetailerIds": ["A"]}],
            "flowToken": "A",
            "flowActionData": {"a": 1},
        }

        told = refusal(template(body("Hi")), TemplateValues.from_wire(given))

        assert [problem.rsplit(" ", 1)[1] for problem in told] == list(given)

    def test_a_button_may_be_named_by_its_text(self) -> None:
        asked = template(
            body("Well?"), buttons(reply_button("Very  much"), reply_button("No"), link_button())
        )

        filled = fill(asked, TemplateValues(buttons={"very much": "YES", "Track": "A-7"}))

        assert [(it["sub_type"], it["index"]) for it in components_of(filled)] == [
            ("quick_reply", "0"),
            ("url", "2"),
        ]
        long = TemplateValues(buttons={"No": "x" * 257, "1": "A-7"})
        assert "payload of the button “No” is longer than 256" in refusal(asked, long)[0]

    @pytest.mark.parametrize("kind", ["ORDER_DETAILS", "ORDER_STATUS"])
    def test_what_wants_a_whole_object_is_sent_to_the_call_that_can(self, kind: str) -> None:
        told = refusal(template(body("Hi {{1}}"), buttons({"type": kind})), TemplateValues())

        assert kind in told[0]
        assert META_FORMAT_CALL in told[0]
        assert "{{1}}" in told[1]

    def test_texts_that_become_too_long_with_their_values_are_refused(self) -> None:
        footed = template(header("For {{1}}"), body("Hi {{1}}"))

        told = refusal(footed, TemplateValues(header={"1": "x" * 57}, body={"1": "x" * 1_022}))

        assert [problem[:9] for problem in told] == ["(#132005)", "(#132005)"]
        assert fill(footed, TemplateValues(header={"1": "x" * 56}, body={"1": "x" * 1_021}))

    @pytest.mark.parametrize(
        ("call", "told"),
        [
            ({"cards": {}}, "cards must be a list"),
            ({"cards": [1]}, "cards[0] must be an object"),
            ({"cards": [{}] * 11}, "10 is the most"),
            ({"cards": [{"mapping": 1}]}, "cards[0].mapping must be"),
            ({"cards": [{"imageUrl": []}]}, "cards[0].imageUrl must be"),
            ({"offerExpiresAt": "soon"}, "offerExpiresAt must be a moment"),
            ({"offerExpiresAt": True}, "offerExpiresAt must be a moment"),
            ({"sections": "x"}, "sections must be a list"),
            ({"sections": [{}]}, "sections[0] must look like"),
            ({"sections": [{"productRetailerIds": ["a"]}] * 2}, "need a title each"),
            ({"sections": [{"productRetailerIds": ["a"] * 31}]}, "30 is the most"),
            ({"sections": [{"title": "x" * 25, "productRetailerIds": ["a"]}]}, "sections[0].title is longer"),
            ({"flowActionData": "x"}, "flowActionData must be an object"),
        ],
    )
    def test_a_mistake_in_them_is_told_in_words(self, call: Json, told: str) -> None:
        with pytest.raises(BadRequest) as raised:
            TemplateValues.from_wire(call)

        assert told in raised.value.problems[0]


class TestChoosing:
    def test_the_only_one_of_its_name_needs_no_language(self) -> None:
        hello = template(name="hello", language="hi")

        assert choose([template(), hello], name="hello", language=None) == hello

    @pytest.mark.parametrize("language", ["pt_BR", "pt-br", "PT_BR"])
    def test_a_language_is_found_however_it_is_written(self, language: str) -> None:
        brazilian = template(language="pt_BR")

        assert choose([template(), brazilian], name="order_update", language=language) == brazilian

    def test_a_misspelt_name_is_answered_with_the_nearest(self) -> None:
        with pytest.raises(NotFound) as raised:
            choose([template(), template(name="hello")], name="Order_Updates", language=None)

        assert raised.value.problems == (
            "(#132001) There is no template named Order_Updates; did you mean order_update?",
        )

    @pytest.mark.parametrize("candidates", [(), (template(),)])
    def test_an_unknown_name_is_not_found(self, candidates: tuple[Template, ...]) -> None:
        with pytest.raises(NotFound, match="132001"):
            choose(candidates, name="zzz", language="en")

    def test_an_unknown_language_is_answered_with_those_there_are(self) -> None:
        with pytest.raises(NotFound) as raised:
            choose([template(), template(language="hi", status="PAUSED")], name="order_update", language="fr")

        assert raised.value.problems == (
            "(#132001) order_update does not exist in fr; it exists in en_US and hi (PAUSED)",
        )

    @pytest.mark.parametrize("status", ["APPROVED", "PAUSED"])
    @pytest.mark.parametrize("language", [None, ""])
    def test_several_languages_and_none_asked_for_is_a_question(
        self, language: str | None, status: str
    ) -> None:
        candidates = [template(status=status), template(language="hi", status=status)]

        with pytest.raises(BadRequest) as raised:
            choose(candidates, name="order_update", language=language)

        assert '"language": "en_US"' in raised.value.problems[0]
        assert "hi" in raised.value.problems[0]

    def test_of_several_languages_the_only_approved_one_is_meant(self) -> None:
        hindi = template(language="hi")

        assert choose([template(status="PENDING"), hindi], name="order_update", language=None) == hindi

    @pytest.mark.parametrize(
        ("status", "code"),
        [
            ("PAUSED", 132015),
            ("DISABLED", 132016),
            ("PENDING", 132001),
            ("REJECTED", 132001),
            ("ODD", 132001),
        ],
    )
    @pytest.mark.parametrize("language", [None, "en_US"])
    def test_one_that_is_not_approved_cannot_be_sent(
        self, status: str, code: int, language: str | None
    ) -> None:
        with pytest.raises(BadRequest) as raised:
            choose([template(status=status)], name="order_update", language=language)

        assert f"(#{code}) order_update in en_US is {status}" in raised.value.problems[0]

    @given(name=st.text(max_size=40), language=st.none() | st.text(max_size=8))
    def test_words_that_mean_no_template_are_answered_with_a_sentence(
        self, name: str, language: str | None
    ) -> None:
        with pytest.raises(SamvadError) as raised:
            choose([template(), template(language="hi")], name=name, language=language)

        assert all(raised.value.problems)


# For every template there can be

LINK = "https://files.example/a.pdf"
words = st.text("abcdefghij ÄÖक्ष😀", min_size=1, max_size=12).map(str.strip).filter(bool)
filled_in = st.text(
    st.characters(exclude_categories=["C", "Z"], exclude_characters="{}"), min_size=1, max_size=15
)


def numbered(count: int) -> list[str]:
    return [str(n) for n in range(1, count + 1)]


def sentence(text: str, names: list[str]) -> str:
    return " ".join([text, *(f"{{{{{name}}}}} {text}" for name in names)])


@st.composite
def templates_with_values(draw: st.DrawFn) -> tuple[Template, TemplateValues]:
    named = draw(st.booleans())
    some_names = st.lists(st.from_regex(r"[a-z][a-z0-9_]{0,9}", fullmatch=True), unique=True, max_size=5)
    body_names = draw(some_names if named else st.integers(0, 12).map(numbered))
    header_names = (draw(some_names) if named else ["1"])[:1]
    parts = [body(sentence(draw(words), draw(st.permutations(body_names))))]
    values = TemplateValues(body={name: draw(filled_in) for name in body_names})

    match draw(st.sampled_from(["", "FIXED", "TEXT", "IMAGE", "VIDEO", "DOCUMENT", "LOCATION"])):
        case "":
            pass
        case "FIXED":
            parts.append(header(draw(words)))
        case "TEXT":
            parts.append(header(sentence(draw(words), header_names)))
            values = replace(values, header={name: draw(filled_in) for name in header_names})
        case "LOCATION":
            parts.append(media_header("LOCATION"))
            values = replace(values, latitude=draw(st.floats(-90, 90)), longitude=draw(st.floats(-180, 180)))
        case kind:
            parts.append(media_header(kind))
            values = replace(
                values,
                image_url=LINK if kind == "IMAGE" else None,
                video_url=LINK if kind == "VIDEO" else None,
                document_url=LINK if kind == "DOCUMENT" else None,
            )

    listed = draw(
        st.lists(
            st.sampled_from(
                [
                    reply_button(),
                    link_button("Shop", "https://shop.example"),
                    link_button(),
                    {"type": "COPY_CODE", "text": "Copy"},
                    {"type": "FLOW", "text": "Book"},
                    {"type": "PHONE_NUMBER", "text": "Call"},
                ]
            ),
            max_size=10,
        )
    )
    wanting = [button for button in listed if button["type"] == "COPY_CODE" or "{{" in button.get("url", "")]
    values = replace(values, buttons={name: draw(filled_in) for name in numbered(len(wanting))})
    parts = draw(st.permutations([*parts, buttons(*listed)]))
    return template(*parts, parameter_format="NAMED" if named else "POSITIONAL"), values


def without(values: Mapping[str, str], name: str) -> dict[str, str]:
    return {key: value for key, value in values.items() if key != name}


class TestEveryTemplate:
    @given(templates_with_values())
    def test_with_all_its_values_becomes_a_payload_with_as_many_parameters_as_placeholders(
        self, case: tuple[Template, TemplateValues]
    ) -> None:
        some, values = case

        filled = fill(some, values)

        counts = {"header": 0, "body": 0, "button": 0}
        for component in components_of(filled):
            counts[component["type"]] += len(component.get("parameters", []))
        has_media = some.header_format in ("IMAGE", "VIDEO", "DOCUMENT", "LOCATION")
        assert counts == {
            "header": len(values.header) + has_media,
            "body": len(values.body),
            "button": len(values.buttons),
        }
        assert "{{" not in filled.text
        assert "{{" not in (filled.header_text or "")
        assert all(value in filled.text for value in values.body.values())

    @given(templates_with_values(), st.data())
    def test_without_any_one_variable_is_refused_by_its_name(
        self, case: tuple[Template, TemplateValues], data: st.DataObject
    ) -> None:
        some, values = case
        given = [
            *(("body", name) for name in values.body),
            *(("header", name) for name in values.header),
            *(("button", name) for name in values.buttons),
        ]
        assume(given)
        place, name = data.draw(st.sampled_from(given))
        incomplete = {
            "body": replace(values, body=without(values.body, name)),
            "header": replace(values, header=without(values.header, name)),
            "button": replace(values, buttons=without(values.buttons, name)),
        }[place]

        told = refusal(some, incomplete)

        assert len(told) == 1
        assert told[0].startswith(f"(#132000) order_update needs the {place} variable {{{{{name}}}}}")

    @given(templates_with_values(), filled_in)
    def test_with_one_variable_too_many_is_refused_by_its_name(
        self, case: tuple[Template, TemplateValues], value: str
    ) -> None:
        some, values = case

        told = problems(some, replace(values, body={**values.body, "999": value}))

        assert len(told) == 1
        assert "{{999}}" in told[0]

    @given(
        st.dictionaries(
            st.sampled_from(
                ["mapping", "headerMapping", "imageUrl", "locationLatitude", "otpCode", "cards", "sections"]
            ),
            st.recursive(
                st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
                lambda inner: (
                    st.lists(inner, max_size=3)
                    | st.dictionaries(
                        st.sampled_from(["schemaPropertyName", "schemaPropertyValue", "1"]), inner
                    )
                ),
            ),
        )
    )
    def test_any_json_is_filled_in_or_refused_in_words(self, call: Json) -> None:
        filled = None

        with contextlib.suppress(BadRequest):
            filled = fill(template(body("Hi {{1}}")), TemplateValues.from_wire(call))

        assert filled is None or filled.text.startswith("Hi ")
