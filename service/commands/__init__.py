"""What `triage` can do, a file a group of commands."""
