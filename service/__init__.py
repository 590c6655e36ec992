"""The service: database, web and worker around connectors and scoring."""
