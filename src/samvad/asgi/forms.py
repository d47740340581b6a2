"""Reading a multipart form: its parts as they were sent, whether or not one has a file name."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.types import Receive, Scope

from samvad.asgi.bodies import header, limited
from samvad.kit.errors import BadRequest

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

MOST_PARTS = 20  # a file, its name, and whatever else a form likes to send


@dataclass(slots=True)
class Part:
    """One part of a form; `filename` and `content_type` are None where it names none."""

    headers: dict[bytes, bytes] = field(default_factory=dict)
    pieces: list[bytes] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self._option(b"name") or ""

    @property
    def filename(self) -> str | None:
        return self._option(b"filename")

    @property
    def content_type(self) -> str | None:
        given = self.headers.get(b"content-type")
        return None if given is None else given.decode("latin-1")

    @property
    def content(self) -> bytes:
        return b"".join(self.pieces)

    @property
    def text(self) -> str:
        return self.content.decode("utf-8", "replace")

    def _option(self, name: bytes) -> str | None:
        _, options = parse_options_header(self.headers.get(b"content-disposition"))
        return options[name].decode("utf-8", "replace") if name in options else None


async def read_form(scope: Scope, receive: Receive, limit: int) -> Mapping[str, Part]:
    """The parts of a multipart/form-data body by their names. Raises BadRequest, TooLarge.

    Starlette's own reader takes a part without a file name for text, and so loses the bytes of a file.
    """
    within = limited(scope, receive, limit)
    media_type, options = parse_options_header(header(scope, b"content-type"))
    if media_type != b"multipart/form-data" or not options.get(b"boundary"):
        raise BadRequest("Send a multipart/form-data body, whose Content-Type names its boundary.")
    form = _Form()
    try:
        parser = MultipartParser(options[b"boundary"], form.callbacks())
        while True:
            message = await within()
            if message["type"] == "http.disconnect":
                raise BadRequest("The connection closed before the whole form had arrived.")
            parser.write(message.get("body", b""))
            if not message.get("more_body"):
                break
    except FormParserError as error:
        raise BadRequest(f"The form could not be read: {error}") from None
    if not form.complete:
        raise BadRequest("The form breaks off before its last boundary.")
    return {part.name: part for part in form.parts}


class _Form:
    """Collects what the parser finds."""

    def __init__(self) -> None:
        self.parts: list[Part] = []
        self.complete = False
        self._name, self._value = b"", b""

    def callbacks(self) -> "MultipartCallbacks":
        return {
            "on_part_begin": self._begin,
            "on_part_data": self._data,
            "on_header_field": self._header_field,
            "on_header_value": self._header_value,
            "on_header_end": self._header_end,
            "on_end": self._end,
        }

    def _begin(self) -> None:
        if len(self.parts) >= MOST_PARTS:
            raise BadRequest(f"The form has more than {MOST_PARTS} parts.")
        self.parts.append(Part())

    def _data(self, data: bytes, start: int, end: int) -> None:
        self.parts[-1].pieces.append(data[start:end])

    def _header_field(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header_end(self) -> None:
        self.parts[-1].headers[self._name.lower()] = self._value
        self._name, self._value = b"", b""

    def _end(self) -> None:
        self.complete = True
