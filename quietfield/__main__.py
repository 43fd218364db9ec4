"""`python -m quietfield` is the command `quietfield`."""

from quietfield.command import main

raise SystemExit(main())
