"""`invoke status`: how hosts and cluster are, compared with how they are to be; looks and changes nothing.

`collect` asks hosts, etcd and API; `findings` judges what they answered, a pure function; `text` and `document` show
it.
"""
