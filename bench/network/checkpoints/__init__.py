"""The weights of other projects: their files are read, and their tensors renamed to the names used here."""
