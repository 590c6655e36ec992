"""The built-in sample: support conversations, articles and intent examples of a made-up shop."""
