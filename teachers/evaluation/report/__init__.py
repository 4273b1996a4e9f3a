"""The report: a page, its data, and words for a terminal."""
