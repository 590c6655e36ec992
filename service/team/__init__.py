"""How several people review together."""
