"""`invoke preflight`: whether hosts can become, or stay, what the spec says; looks and changes nothing.

`run` asks hosts and tries the ways between them; `table` names every check; the `checks_*` modules judge what was
answered, pure functions; `text` and `document` show it; `before_apply` is what an apply asks of hosts that are new.
"""
