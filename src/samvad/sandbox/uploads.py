"""What came by resumable upload: samples for template headers and profile pictures, behind handles."""

import base64
import hashlib
from dataclasses import dataclass, field

MAX_SESSIONS = 1_000


@dataclass(slots=True)
class Upload:
    """A file that arrives in pieces."""

    id: str
    signature: str
    app_id: str
    name: str
    mime_type: str
    length: int
    data: bytearray = field(default_factory=bytearray)

    @property
    def handle(self) -> str:
        """What a template or a profile names the file by."""
        parts = (self.name, self.mime_type, hashlib.sha256(self.data).hexdigest()[:32], self.id)
        return "4::" + ":".join(base64.urlsafe_b64encode(part.encode()).decode() for part in parts)


class Uploads:
    """The sessions of all apps, and the files behind the handles."""

    def __init__(self) -> None:
        self.sessions: dict[str, Upload] = {}
        self.handles: dict[str, Upload] = {}

    def type_behind(self, handle: str) -> str | None:
        """The MIME type of the file behind a handle."""
        upload = self.handles.get(handle)
        return upload.mime_type if upload is not None else None

    def add(self, upload: Upload) -> None:
        if len(self.sessions) >= MAX_SESSIONS:
            gone = self.sessions.pop(next(iter(self.sessions)))
            self.handles = {handle: one for handle, one in self.handles.items() if one is not gone}
        self.sessions[upload.id] = upload
