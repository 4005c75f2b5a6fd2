"""`python -m training DATASET ...` is `synthpert train DATASET ...`, for launchers that start a module:
`accelerate launch -m training DATASET ...`."""

import sys

from synthpert import main

if __name__ == "__main__":
    sys.argv.insert(1, "train")
    main()
