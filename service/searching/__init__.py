"""Finding conversations: by words in the database, by meaning in the worker."""
