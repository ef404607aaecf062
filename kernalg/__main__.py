"""``python -m kernalg`` is the command ``kernalg``."""

from kernalg.cli import main

raise SystemExit(main())
