"""`python -m samvad`."""

from samvad.cli import main

main()
