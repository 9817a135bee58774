"""Two judged sets, composition by composition."""
