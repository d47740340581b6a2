"""Secrets at rest: sealed with a key that lives outside of the database."""

from cryptography.fernet import Fernet, InvalidToken


class Seal:
    """Seals text so that a copy of the database alone reveals no token. Fernet: AES-CBC and HMAC."""

    def __init__(self, key: str) -> None:
        self._fernet = Fernet(key)

    def close(self, text: str) -> str:
        return self._fernet.encrypt(text.encode()).decode()

    def open(self, sealed: str) -> str:
        """Raises ValueError when it was sealed with another key."""
        try:
            return self._fernet.decrypt(sealed.encode()).decode()
        except InvalidToken as error:
            raise ValueError(
                "sealed with another key: SAMVAD_SECRET_KEY must be the one in use then"
            ) from error


def new_sealing_key() -> str:
    return Fernet.generate_key().decode()
