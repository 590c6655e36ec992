"""`python -m service` is the `triage` command."""

from service.cli import main

main()
