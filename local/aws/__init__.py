"""The AWS stand-in of the local stack: moto as a server, with functions that really run.

`server` answers for all services at one URL, and for Lambda by `lambda_api`. `dynamodb` and `step_functions` patch what
moto does too slowly or wrongly, and `persistence` keeps what moto has in memory only. `process` starts `serving` in a
process of its own, and `endpoint` is how other code reaches it.
"""
