"""One module for each thing that runs or lives on a host. A component never imports another component."""
