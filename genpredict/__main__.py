"""``python -m genpredict``: the command line without the script `genpredict`."""

from genpredict.cli import main

if __name__ == "__main__":
    main()
