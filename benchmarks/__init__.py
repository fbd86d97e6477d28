"""Side-by-side measurements of two implementations, interleaved in one run on one machine. They are no tests."""
