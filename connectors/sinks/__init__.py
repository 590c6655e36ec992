"""One module a knowledge base: it takes articles and reports what changed there."""
