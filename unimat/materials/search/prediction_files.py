"""Predicted crystals as files: tables, CIF files and a page."""

from pathlib import Path

from unimat import crystal_table
from unimat.materials.datasets.exports.writers import cif_text, file_names
from unimat.materials.search.predict import Prediction
from unimat.outputs import whole_folder


def write(
    prediction: Prediction, out: str | Path, reference: str | None = None, command: str | None = None,
    force: bool = False,
) -> None:  # fmt: skip
    """Write crystals.parquet, rejected.parquet, initial.parquet after relaxation, cifs/ and predicted.html into `out`.

    Args:
        reference: name of the hull reference. command: that made them, for the page. force: as `whole_folder`.
    """
    from unimat.report.predictions import page

    html = page(prediction, reference, command)
    with whole_folder(out, "predict", last="crystals.parquet", complete=True, force=force) as new:
        crystal_table.write_rejected(prediction.rejected, new / "rejected.parquet")
        if prediction.initial is not None:
            crystal_table.write(prediction.initial, new / "initial.parquet")
        (new / "cifs").mkdir()
        names = file_names(prediction.crystals.material_ids, ".cif")
        for name, crystal in zip(names, prediction.crystals, strict=True):
            (new / "cifs" / name).write_text(cif_text(crystal), encoding="utf-8")
        (new / "predicted.html").write_text(html, encoding="utf-8")
        crystal_table.write(prediction.crystals, new / "crystals.parquet")
