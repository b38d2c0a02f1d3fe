"""The command line as a module, so that a test can start it with the interpreter that runs the tests."""

from curate.cli import main

if __name__ == "__main__":
    main()
