"""The API, version 1: everything that answers JSON lies below /api/v1, every error there is a problem (RFC 9457)."""
