"""What pages show: rows into finished values, so that templates need not compute."""
