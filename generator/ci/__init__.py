"""What the delivery chain is made of: project files, and the texts that follow from them. Opens no socket."""
