"""One module a platform: it verifies a delivery and parses it into events."""
