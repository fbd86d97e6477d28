"""How counts and sizes are written in sentences."""

from bench.protocol.words import bytes_in_words


def test_bytes_are_written_in_units_that_people_read() -> None:
    sizes = (900, 253_693_888, 2_100_000_000, 3 * 10**12)
    assert [*map(bytes_in_words, sizes)] == ["0.9 kB", "254 MB", "2.1 GB", "3 TB"]
