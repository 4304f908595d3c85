"""Good and forged requests for kubelet serving certificates: one table for everything that approves them."""
