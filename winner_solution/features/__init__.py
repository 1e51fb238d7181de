"""Features: what turns decoded examples into fixed-length vectors, shared by learners."""
