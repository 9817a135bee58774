"""Train or sample here with what is packed beside this file; `python run.py --help` says how."""

# Of the standard library and of old syntax alone, so that any Python can say what is missing.
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120


def main():
    if sys.version_info < (3, 11):  # noqa: UP036
        sys.exit(f"run.py: error: this is Python {sys.version.split()[0]}; start it with Python 3.11 or newer")
    # An archive unpacked over an older one has files of the same age and, perhaps, length: no stale bytecode.
    sys.dont_write_bytecode = True
    sys.path.insert(0, os.path.join(HERE, "code"))  # noqa: PTH118
    try:
        from unimat.model.packed import launcher
    except (ImportError, SyntaxError) as error:
        sys.exit(f"run.py: error: the folder code is not whole ({error}); unpack the archive again")
    sys.exit(launcher.main(HERE, sys.argv[1:]))


if __name__ == "__main__":
    main()
