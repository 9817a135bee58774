"""The file by which a folder is known to be a command's own."""

import pytest

from unimat.errors import UserError
from unimat.files import write_json
from unimat.outputs import refuse_replacing


@pytest.mark.parametrize("damage", [lambda text: text[:-20], lambda text: text.replace("1", "2", 1), lambda _: ""])
def test_a_broken_sign_of_a_folder_is_named(tmp_path, damage):
    sign = tmp_path / "settings.json"
    write_json(sign, {"train": {"steps": 1}})
    (tmp_path / "checkpoints").mkdir()
    refuse_replacing(tmp_path, "train --work", flag="--work")
    sign.write_text(damage(sign.read_text()))
    with pytest.raises(UserError, match=r"settings.json is broken.* put the file back, or give --work another folder"):
        refuse_replacing(tmp_path, "train --work", flag="--work")
