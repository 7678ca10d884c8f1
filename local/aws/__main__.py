"""Serve the AWS stand-in: `python -m local.aws FILE_DESCRIPTOR`, which `process` starts. `serving` describes it."""

import gc
import sys

if __name__ == "__main__":
    # moto has hundreds of thousands of objects, and none is garbage. To look for some among them would take a third of
    # the time of the import, and a moment now and then afterwards.
    gc.disable()
    from local.aws.serving import main

    gc.freeze()
    gc.enable()
    main(int(sys.argv[1]))
