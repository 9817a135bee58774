"""The report: one page that gathers what a run's folder holds.

`settings` needs nothing beyond the standard library; the rest needs pandas, pymatgen, matplotlib and jinja2.
"""
