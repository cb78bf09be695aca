"""What a report says, in figures: each with its source, its window, its age, and whether it is whole."""
