// What goes deeper than cluster.yaml: patches of addons, and objects of your own.
{
  values+:: {
    coredns+: { resources+: { limits+: { memory: '340Mi' } } },
  },
}
