"""What lasts of a trial besides its record: the state of a training that is under way, and the weights it ends with."""
