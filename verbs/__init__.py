"""What `invoke` offers: a verb parses arguments, calls one function of generator, fleet or lab, and prints."""

import sys

from verbs.offering import collection, named_in

namespace = collection(named_in(sys.argv))

__all__ = ["namespace"]
