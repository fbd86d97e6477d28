"""Tables, figures and one self-contained page, from records and ``study.json`` alone: no torch, no ray."""
