"""The program: command line, Textual application, operations, LimaCharlie client, sandbox."""

__version__ = "0.1.0"
