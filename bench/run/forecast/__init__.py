"""What the trials of a schedule will take: device time with its spread, and disk."""
