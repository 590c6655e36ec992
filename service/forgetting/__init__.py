"""Forgetting what people said: because it is old, because somebody asked, or because their platform did."""
