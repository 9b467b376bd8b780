"""`python -m semlink` is the command `semlink`."""

from semlink.simulator.study.command import main

if __name__ == "__main__":
    main()
