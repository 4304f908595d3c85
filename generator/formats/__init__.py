"""How text is written: flags, units, YAML, TOML, kubeconfigs, and the merge of layers with provenance."""
