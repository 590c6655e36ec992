"""One module a signal: a way of noticing that an answer went wrong."""
