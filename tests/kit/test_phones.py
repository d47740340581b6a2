"""One person's number in every spelling is one line, and two persons' numbers never are."""

from collections.abc import Iterator
from random import Random

import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st

from samvad.kit.errors import BadRequest
from samvad.kit.phones import same_line

MANY = 2_000
MORE_COUNTRIES = ("IN", "US", "GB", "DE", "IT", "ID", "NG", "SG", "AE", "CI")


def brazilian_areas() -> list[str]:
    return [f"{a}{b}" for a in range(1, 10) for b in range(1, 10) if valid(f"55{a}{b}987654321")]


def valid(number: str) -> bool:
    return phonenumbers.is_valid_number(phonenumbers.parse(f"+{number}"))


def some_digits(random: Random, count: int) -> str:
    return "".join(random.choice("0123456789") for _ in range(count))


def brazilians(random: Random) -> Iterator[tuple[set[str], set[str]]]:
    """Each person's number as written from abroad, and as written at home."""
    areas = brazilian_areas()
    while True:
        area, last = random.choice(areas), random.choice("6789") + some_digits(random, 7)
        yield (
            {f"559{last}"[:2] + area + f"9{last}", f"55{area}{last}"},
            {f"{area}9{last}", f"0{area}9{last}", f"{area}{last}", f"(0{area}) 9{last[:4]}-{last[4:]}"},
        )
        area, last = random.choice(areas), random.choice("2345") + some_digits(random, 7)
        yield {f"55{area}{last}"}, {f"{area}{last}", f"0{area}{last}"}  # a landline
        # Beside it a mobile of the same digits, which never had eight of them.
        yield {f"55{area}9{last}"}, {f"{area}9{last}"}


def mexicans(random: Random) -> Iterator[tuple[set[str], set[str]]]:
    while True:
        number = random.choice("23456789") + some_digits(random, 9)
        if valid(f"52{number}"):
            yield (
                {f"52{number}", f"521{number}", f"52044{number}", f"5201{number}"},
                {number, f"044{number}", f"045 {number}", f"01 {number[:2]} {number[2:]}"},
            )


def argentines(random: Random) -> Iterator[tuple[set[str], set[str]]]:
    areas = ("11", "221", "341", "351", "261", "381", "2966", "3722", "2901")
    while True:
        area = random.choice(areas)
        last = random.choice("23456") + some_digits(random, 9 - len(area))
        if valid(f"549{area}{last}"):
            yield (
                {f"54{area}{last}", f"549{area}{last}", f"54{area}15{last}", f"549{area}15{last}"},
                {
                    f"{area}{last}",
                    f"0{area}15{last}",
                    f"{area} 15 {last}",
                    f"(0{area}) 15-{last}",
                    f"9{area}{last}",
                },
            )


def others(country: str):
    def people(random: Random) -> Iterator[tuple[set[str], set[str]]]:
        example = phonenumbers.example_number_for_type(country, phonenumbers.PhoneNumberType.MOBILE)
        assert example is not None
        start = phonenumbers.national_significant_number(example)[:4]
        rest = len(phonenumbers.national_significant_number(example)) - 4
        while True:
            national = f"{start}{some_digits(random, rest)}"
            number = f"{example.country_code}{national}"
            if valid(number):
                dialled = phonenumbers.format_number(
                    phonenumbers.parse(f"+{number}"), phonenumbers.PhoneNumberFormat.NATIONAL
                )
                yield {number}, {national, dialled}

    return people


PEOPLES = {"BR": brazilians, "MX": mexicans, "AR": argentines, **{it: others(it) for it in MORE_COUNTRIES}}


@pytest.mark.parametrize("country", list(PEOPLES))
def test_every_spelling_of_a_persons_number_meets_and_no_two_persons_do(country):
    random, lines = Random(f"{country} on the phone"), dict[str, frozenset[str]]()
    people = PEOPLES[country](random)

    for _ in range(MANY):
        abroad, home = next(people)
        decorated = (
            {f"+{it}" for it in abroad}
            | {f"00{it}" for it in abroad}
            | {f"+{it[:2]} {it[2:]}" for it in abroad}
        )
        keys = {same_line(it) for it in abroad | decorated}
        keys |= {same_line(it, country=country) for it in abroad | decorated | home}

        assert len(keys) == 1, (abroad, home, keys)
        (key,) = keys
        assert lines.setdefault(key, frozenset(abroad)) == frozenset(abroad)

    assert len(lines) > MANY * 0.9, "they are different people"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("5511987654321", "551187654321"),
        ("+55 (31) 98765-4321", "553187654321"),
        ("5215512345678", "+52 55 1234 5678"),
        ("5491123456789", "54 11 15-2345-6789"),
        ("5492214567890", "+54 221 15 456-7890"),
        ("+44 (0) 7911 123456", "447911123456"),
        ("0015550001111", "+1 (555) 000-1111"),
    ],
)
def test_two_spellings_of_one_line(one, other):
    assert same_line(one) == same_line(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("551132654321", "5511932654321"),  # a landline of São Paulo, and somebody's mobile
        ("5511987654321", "5521987654321"),
        ("5215512345678", "15512345678"),  # Mexico City, and New Jersey
        ("5491123456789", "5492213456789"),
        ("541115234567", "541123456789"),
        ("15550001111", "15550001112"),
        ("390612345678", "39612345678"),  # Italy's zero is part of the number
    ],
)
def test_two_lines_that_look_alike_are_two(one, other):
    assert same_line(one) != same_line(other)


@pytest.mark.parametrize(
    ("written", "country", "line"),
    [
        ("98765 43210", "IN", "919876543210"),
        ("098765 43210", "in", "919876543210"),
        ("919876543210", "IN", "919876543210"),
        ("+1 650-253-0000", "IN", "16502530000"),
        ("447911123456", "IN", "447911123456"),
        ("650-253-0000", "US", "16502530000"),
        ("011 44 7911 123456", "US", "447911123456"),
        ("15512345678", "MX", "15512345678"),
        ("15550001111", "IN", "15550001111"),  # valid nowhere, and too long for one at home
        ("5550001111", "US", "15550001111"),  # valid nowhere, and short enough
    ],
)
def test_a_number_without_its_country_code_is_of_the_default_country(written, country, line):
    assert same_line(written, country=country) == line


def test_a_number_of_no_country_is_its_own_line():
    assert same_line("999 123 4567") == "9991234567"


def test_what_is_no_number_and_no_country_is_refused():
    for wrong in ("", "abc", "12345", "1" * 16, "٩٨٧٦٥٤٣٢١٠"):
        with pytest.raises(BadRequest, match="must"):
            same_line(wrong)
    with pytest.raises(BadRequest, match="two letters"):
        same_line("98765 43210", country="India")


@given(st.from_regex(r"(\+|00)?[1-9][0-9]{6,12}", fullmatch=True), st.sampled_from([None, *PEOPLES]))
def test_the_line_of_a_line_is_that_line(written, country):
    line = same_line(written, country=country)

    assert same_line(line) == line
    assert line.isdigit()
