"""Results on disk: the files of a results folder, their forms, and how they are read. No torch."""
