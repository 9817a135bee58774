"""Tests, whose helpers are imported as `tests.NAME`: a folder here is no package that `import NAME` could find."""
