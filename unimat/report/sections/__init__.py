"""The page's sections, in the order a materials scientist asks: what was run, is it sound, is it stable."""
