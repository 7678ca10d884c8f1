"""The soak: many callers at once on a local stack, with faults, and a check of what everybody saw.

    python -m local.soak --callers 20 --seconds 60 --seed 7

Where to look:

    plan         what each caller does and when, from the seed alone
    upstream     what goes wrong at the fake Codegen
    histories    what was recorded: requests, views, runs, messages, faults
    checking     which promises a history breaks
    callers      the callers, the viewers and the receiver of webhooks
    soaking      one soak: the stack, the load, the wait until all is settled, the history
    report       the figures of a soak as text

What goes wrong at the AWS stand-in is in `local.aws.faults`.
"""
