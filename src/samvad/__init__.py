"""A self-hosted WhatsApp Business platform."""

__version__ = "0.1.0"
