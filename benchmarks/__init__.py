"""Side-by-side measurements: both sides in one run, on one machine, interleaved. Numbers, not tests."""
