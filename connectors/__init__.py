"""Bytes in, events out; articles in, knowledge base out."""
