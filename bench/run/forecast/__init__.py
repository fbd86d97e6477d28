"""The device time, with its spread, and the disk that the trials of a schedule will take."""
