"""What the console can do, with no terminal in sight."""
