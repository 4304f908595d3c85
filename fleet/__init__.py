"""From rendered/ to hosts and API: ask, plan, push, activate behind gates. What was reviewed is what is pushed."""
