"""List the trained models that ship, or print the card of one.

A card says what a model was trained on, by which recipe and at what cost, how its crystals were judged, and under which
licence its parameters are. Nothing is downloaded: parameters and cards are part of the package. Models of one's own, as
`unimat publish` writes them, are found by name too if the variable UNIMAT_PRETRAINED names their folder.
"""

import argparse

from unimat.cli._outputs import add_force, add_out_folder

EXAMPLE = "unimat pretrained perov_5"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", nargs="?", metavar="NAME", help="model whose card to print; without it, all are listed")
    asked = parser.add_mutually_exclusive_group()
    asked.add_argument(
        "--sections",
        action="store_true",
        help="print the sections encode and model of a configuration that fit the model, to train on from it",
    )
    add_out_folder(asked, "write model.npz, training.json and history.csv there, as a training would", by="pretrained")
    add_force(parser)


def run(args: argparse.Namespace) -> None:
    from unimat.errors import UserError
    from unimat.model.shipped import model_card, pretrained

    if args.name is None:
        if args.sections or args.out:
            raise UserError("--sections and --out are for one model; give its name")
        print(listing(), end="")
        return
    card = pretrained.card_of(args.name)
    if args.out:
        pretrained.copy_into(args.name, args.out, args.force)
    elif args.sections:
        print(model_card.settings_text(pretrained.sections(card)), end="")
    else:
        print(model_card.page(card), end="")


def listing() -> str:
    """One line for each model that is there."""
    from unimat.model.shipped import model_card, pretrained

    cards = [pretrained.card_of(name) for name in pretrained.names()]
    if not cards:
        return f"no trained model is there; {pretrained.VARIABLE} may name a folder of published ones\n"
    rows = [
        (
            card["name"],
            card["settings"]["model"]["network"],
            f"{card['training']['n_parameters']:,} parameters",
            f"{card['file']['bytes'] / 1e6:.1f} MB",
            model_card.title_of(card),
        )
        for card in cards
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows)
    return (
        "\n".join([*lines, "unimat pretrained NAME prints a card; unimat sample --pretrained NAME draws crystals"])
        + "\n"
    )
