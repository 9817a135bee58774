"""What jobs ask a scheduler for, and which of the relaxed sets are DFT's."""


def growing(value):
    """A resource of which a job gets `value` at first, and as much again with every retry."""
    return lambda wildcards, attempt: value * attempt


def relaxed(dft):
    """Names of the relaxed sets whose engine is one of DFT, or of all the others."""
    return [name for name in sets_of("relax") if (settings_of("relax", name).engine in DFT) == dft]
