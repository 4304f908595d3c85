"""The functional test of a cluster: does it do what it is for, and is everybody who he says, with the rights he needs.

`fleet.verify.run.verify_run` is what the verb calls; each module beside it holds one kind of check.
"""
