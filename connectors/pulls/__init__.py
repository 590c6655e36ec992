"""One module a platform that does not send by itself: it is asked for what is new, page by page."""
