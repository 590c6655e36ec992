"""The lead's charts. Altair and vl-convert are imported with the first one: 60 MB and a second that others need not pay."""
