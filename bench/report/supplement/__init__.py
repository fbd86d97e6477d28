"""The supplement of a paper: one archive of records, tables and commands, without private names."""
