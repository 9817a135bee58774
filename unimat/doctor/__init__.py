"""What is wrong with a machine or a configuration, found before a workflow starts."""
