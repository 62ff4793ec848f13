"""What decoding at reduced resolution does to the probabilities of real radiographs."""
