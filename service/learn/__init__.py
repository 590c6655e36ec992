"""What learns from people: our own intent model, how far platforms' scores are believed, and what each signal weighs."""
