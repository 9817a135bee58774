"""Ab initio random structure search (AIRSS): sensible random crystals of a composition."""
