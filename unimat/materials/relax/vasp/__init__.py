"""VASP under custodian: the paper's calculations."""
