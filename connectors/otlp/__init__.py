"""OpenTelemetry: exported spans in, events out."""
