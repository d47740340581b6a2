"""A YAML file of procedures: everything wrong with its shape is told with its line; what is written reads back."""

import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from samvad.domain.procedures.examples import EXAMPLES, example
from samvad.domain.procedures.files import DEEPEST, MOST_VALUES, read_document, write_document
from samvad.domain.procedures.model import (
    Attribute,
    Definition,
    Derived,
    Document,
    Entity,
    Field,
    Form,
    FormAction,
    Generator,
    Page,
    State,
    TaskDefinition,
)
from samvad.kit.errors import BadRequest

FULL_OF_MISTAKES = """\
procedures:
  - shortId: visit
    nmae: Visit
    attributes:
      - { shortId: a }
      - foo
      - { shortId: b, type: 5, optoins: [1] }
      - { shortId: c, type: string, shortId: d, required: maybe }
    states: [{ shortId: NO }]
    stateGraph:
      NO: [A]
      B: 7
entities: {}
extra: .nan
"""


def problems_in(text: str) -> list[str]:
    with pytest.raises(BadRequest) as refused:
        read_document(text)
    return list(refused.value.problems)


def test_every_mistake_of_a_file_is_told_at_once_with_its_line() -> None:
    assert problems_in(FULL_OF_MISTAKES) == [
        "line 3: procedure visit: there is no key 'nmae'; did you mean name?",
        "line 5: procedure visit: attribute a: type is missing.",
        "line 6: procedure visit: attribute number 2: must be an object; got 'foo'.",
        "line 7: procedure visit: attribute b: type: must be text; got 5: write it in quotes.",
        "line 7: procedure visit: attribute b: there is no key 'optoins'; did you mean options?",
        "line 8: the key shortId is there twice.",
        "line 8: procedure visit: attribute d: required: must be true or false; got 'maybe'.",
        "line 9: procedure visit: state number 1: shortId: must be text; got False: write it in quotes.",
        "line 10: procedure visit: stateGraph: what stands in it: must be a list; got a whole number.",
        "line 11: the key NO must be text: write it in quotes.",
        "line 13: entities: must be a list; got an object.",
        "line 14: .nan is no value of JSON: write it in quotes.",
        "line 14: there is no key 'extra'.",
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "must hold `procedures:`"),
        ("- a", "must hold `procedures:`"),
        ("procedures: []", "holds no procedure"),
        ("procedures: [", "not valid YAML"),
        ("a: !!python/object:os.system x", "not valid YAML"),
        ("a: &a [*a]", f"deeper than {DEEPEST}"),
        ("[" * 60 + "]" * 60, f"deeper than {DEEPEST}"),
        (
            "a: &a [1,1,1,1,1,1,1,1,1,1]\n" + "".join(
                f"{new}: &{new} [{','.join([f'*{old}'] * 10)}]\n" for old, new in zip("abcdef", "bcdefg", strict=True)
            ),
            f"more than {MOST_VALUES:,} values",
        ),
        ("#" * 1024 * 1024 + "#", "larger than 1024 KiB"),
        ('procedures: [{shortId: "a\\0"}]', "a character that cannot be kept"),
    ],
)  # fmt: skip
def test_what_is_no_file_of_procedures_is_refused(text: str, words: str) -> None:
    assert words in problems_in(text)[0]


def test_dates_and_merged_keys_of_yaml_are_what_they_look_like() -> None:
    text = """\
procedures:
  - shortId: a
    description: 2024-01-31
    attributes:
      - &base { shortId: b, type: stringEnum, options: [2024-01-31, "1"] }
      - { <<: *base, shortId: c }
"""

    procedure = read_document(text).procedures[0]

    assert procedure.description == "2024-01-31"
    assert [it.short_id for it in procedure.attributes] == ["b", "c"]
    assert procedure.attributes[1].options == ("2024-01-31", "1")


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_reads_back_as_it_is_written(name: str) -> None:
    document = read_document(example(name))

    assert read_document(write_document(document)) == document


# YAML knows no NUL and no halves of surrogate pairs, and a text may look like anything else of YAML.
texts = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=30),
    st.sampled_from(
        ["NO", "yes", "null", "~", "1e3", "2024-01-31", "<<", "=", "#x", " a ", "a\n\nb\n", "\ufeff", "-"]
    ),
)
words = st.text(string.ascii_letters + "_", min_size=1, max_size=8) | st.sampled_from(
    ["id", "entityId", "NO"]
)
few = lambda of: st.lists(of, max_size=3).map(tuple)  # noqa: E731
plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=5,
)
objects = st.dictionaries(texts, plain, max_size=3)
derived = st.builds(Derived, formula=st.none() | texts, count=st.none() | texts, where=st.none() | objects)
attributes = st.builds(
    Attribute,
    short_id=words,
    type=words,
    name=texts,
    description=texts,
    required=st.booleans(),
    options=few(texts | st.integers(-5, 5) | st.floats(-2, 2)),
    derived=st.none() | derived,
)
forms = st.builds(
    Form,
    short_id=words,
    pages=few(
        st.builds(Page, short_id=words, fields=few(st.builds(Field, attribute=words)), jumps=few(objects))
    ),
    actions=few(st.builds(FormAction, name=texts, settings=objects)),
)
procedures = st.builds(
    Definition,
    short_id=words,
    name=texts,
    roles=few(texts),
    generate=st.none() | st.builds(Generator, prefix=texts, digits=st.integers(0, 9)),
    states=few(st.builds(State, short_id=words, name=texts)),
    state_graph=st.none() | st.dictionaries(words, few(words), max_size=3),
    attributes=few(attributes),
    tasks=few(st.builds(TaskDefinition, short_id=words, attributes=few(attributes))),
    forms=few(forms),
)
entities = st.builds(Entity, short_id=words, name=texts, attributes=few(attributes))


@given(
    st.builds(
        Document, entities=few(entities), procedures=st.lists(procedures, min_size=1, max_size=2).map(tuple)
    )
)
@settings(max_examples=100)
def test_any_document_reads_back_as_it_is_written(document: Document) -> None:
    assert read_document(write_document(document)) == document
