import sys

from unimat.cli import main

sys.exit(main())
