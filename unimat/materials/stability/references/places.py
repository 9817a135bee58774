"""Where published files of references are got; importable without pandas."""

GNOME_BUCKET = "https://storage.googleapis.com/gdm_materials_discovery"
WHERE_TO_GET = {
    "mp_materials_summary.csv": "data/mp_materials_summary.csv in the history of "
    "https://github.com/google-deepmind/materials_discovery (commit 4023209631ccd1d0e070775852ae2e8ebc369060)",
    "mp_snapshot_summary.csv": f"{GNOME_BUCKET}/external_data/mp_snapshot_summary.csv",
    "external_materials_summary.csv": f"{GNOME_BUCKET}/external_data/external_materials_summary.csv",
    "stable_materials_summary.csv": f"{GNOME_BUCKET}/gnome_data/stable_materials_summary.csv",
}
