"""What `invoke` offers: a verb parses arguments, calls one function of generator, fleet or lab, and prints."""
