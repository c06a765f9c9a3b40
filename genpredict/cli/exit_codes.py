"""What a command ends with (docs/design.md 6); 2 is wrong usage."""

ALL_DONE = 0
FAILED = 1
SOME_FAILED = 3
