"""Errors that a user can act on."""


class UserError(Exception):
    """Bad input, told in one line that names the thing and the remedy.

    The command line prints it without a traceback and exits with code 2.
    """


class CrystalRejected(Exception):
    """One crystal cannot be used; the run goes on and the crystal becomes a row of the rejected table.

    Args:
        reason: a short machine-readable reason, e.g. ``partial_occupancy``; one of `REJECTION_REASONS`.
        detail: what was found, with the value and the limit.
    """

    def __init__(self, reason: str, detail: str):
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail

    def __reduce__(self) -> tuple[type["CrystalRejected"], tuple[str, str]]:
        return type(self), (self.reason, self.detail)  # an exception is pickled by its message, which is one argument


REJECTION_REASONS = {
    "unreadable": "the text could not be parsed as a crystal",
    "partial_occupancy": "a site is shared by several species or partly empty",
    "not_an_element": "a species is not one of the 118 elements (a dummy or deuterium label, say)",
    "symmetry_unclear": "the symmetry is said in a way that is not known, or in two ways, or does not fit the cell",
    "atoms_missing": "the file mentions atoms without places: attached hydrogen, sites without coordinates",
    "outside_grid": "an element has no cell in the configured grid",
    "too_many_atoms": "more atoms than the configured limit",
    "too_many_of_element": "more atoms of one element than the configured number of slots L",
    "overlapping_atoms": "two atoms (or an atom and its periodic image) closer than the configured minimum",
    "degenerate_lattice": "the cell has no volume, or a length or angle that is not finite",
    "duplicate_id": "the material_id was already used by an earlier row",
    "no_atoms": "the crystal has no atoms",
    "not_periodic": "a molecule, a slab or an isolated atom: not periodic in three directions",
    "contradicts_source": "what was read differs from what the source says of it (formula, sites, volume)",
    "structure_missing": "the table lists the crystal, but no structure of it was found",
    "not_in_table": "the structure is there, but the table does not list it",
    "too_large": "the text of the structure is longer than any crystal of use",
    "unreadable_formula": "the composition asked for is no formula",
    "unreadable_count": "the number of candidates asked for is no whole number",
    "fractional_amounts": "the composition asked for has an amount that is no whole number of atoms",
    "no_template": "no known crystal has the amounts of the composition",
    "no_further_template": "fewer candidates of the composition than were asked for",
    "unknown_element": "no known crystal says what an element of the composition is like",
    "bad_value": "a property column holds text where a number is due",
}
