"""Files of conversations in the formats that people have: each read as a stream."""
