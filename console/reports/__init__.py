"""Reports as documents: composed once, written as HTML, PDF and Markdown."""
