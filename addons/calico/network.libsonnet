// Where pods get their addresses and how routes are told: pools, and BGP where a mode uses it.
//
// Pools are objects here and not settings of the agent (CALICO_IPV4POOL_*): from those it makes a pool once, and what
// changes afterwards would never reach it.
local kube = import '../lib/kubernetes.libsonnet';

local object(kind, name, spec) = kube.object('crd.projectcalico.org/v1', kind, name) + kube.labelled('calico') + { spec: spec };

local encapsulation = {
  vxlan: { vxlanMode: 'Always', ipipMode: 'Never' },
  'vxlan-cross-subnet': { vxlanMode: 'CrossSubnet', ipipMode: 'Never' },
  ipip: { vxlanMode: 'Never', ipipMode: 'Always' },
  'ipip-cross-subnet': { vxlanMode: 'Never', ipipMode: 'CrossSubnet' },
  bgp: { vxlanMode: 'Never', ipipMode: 'Never' },
};

local onChange =
  'a change of mode interrupts pods that talk between nodes: each node changes tunnels and routes when its agent '
  + 'hears of it or restarts, and packets between nodes of both kinds are lost until all have; pods keep the MTU they '
  + 'started with, so restart them after a change to or from tunnels';

local isIPv6(cidr) = std.member(cidr, ':');

// An object's name says which router and, where a selector narrows it, a mark of that.
local peerName(peer) =
  local address = std.strReplace(std.strReplace(peer.address, ':', '-'), '.', '-');
  'peer-' + std.strReplace(std.stripChars(address, '-'), '--', '-0-')
  + (if peer.nodeSelector == null then '' else '-' + std.substr(std.md5(peer.nodeSelector), 0, 8));

function(cluster, config, features) {
  ['pool%s' % (if isIPv6(cidr) then 'IPv6' else 'IPv4')]:
    object('IPPool', if isIPv6(cidr) then 'pods-ipv6' else 'pods-ipv4', encapsulation[config.mode] {
      cidr: cidr,
      blockSize: if isIPv6(cidr) then config.blockSizeIPv6 else config.blockSize,
      natOutgoing: config.natOutgoing,
      nodeSelector: 'all()',
      allowedUses: ['Workload', 'Tunnel'],
      [if features.assignmentMode then 'assignmentMode']: 'Automatic',
    }) + { metadata+: { annotations: { 'slipway.io/on-change': onChange } } }
  for cidr in cluster.podCIDRs
} + (
  if std.startsWith(config.mode, 'vxlan') then {}
  else {
    bgp: object('BGPConfiguration', 'default', {
      asNumber: config.bgp.asNumber,
      nodeToNodeMeshEnabled: config.bgp.nodeMesh,
      logSeverityScreen: 'Info',
    }) + {
      metadata+: {
        annotations: {
          'slipway.io/on-change':
            'every node drops and opens its BGP sessions anew at once; BIRD keeps routes for a graceful restart of 120 '
            + 'seconds, but a mesh that is turned off takes them away',
        },
      },
    },
  } + {
    [peerName(peer)]: object('BGPPeer', peerName(peer), {
      peerIP: peer.address,
      asNumber: peer.asNumber,
      [if peer.nodeSelector != null then 'nodeSelector']: peer.nodeSelector,
    })
    for peer in config.bgp.peers
  }
)
