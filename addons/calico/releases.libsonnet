// Which release of Calico goes with a Kubernetes minor, and what its programs ask for.
//
// Tested by upstream, as the page of each release says (https://docs.tigera.io/calico/latest/getting-started/
// kubernetes/requirements, and calico_versioned_docs/version-*/ of https://github.com/tigera/docs): 3.25 with 1.23 to
// 1.28, 3.27 with 1.24 to 1.28, 3.29 with 1.29 to 1.31, 3.31 with 1.32 to 1.35, 3.32 with 1.34 to 1.36. 3.21 is the last
// but one that asks for EndpointSlices as 1.20 serves them (https://github.com/projectcalico/calico/issues/6990).
// Each is the newest of its line that upstream's release notes know
// (https://github.com/projectcalico/calico/tree/master/release-notes).
local versions = import '../lib/versions.libsonnet';
{
  version(minor)::
    if versions.atLeast(minor, 36) then 'v3.32.2'
    else if versions.atLeast(minor, 32) then 'v3.31.7'
    else if versions.atLeast(minor, 29) then 'v3.29.7'
    else if versions.atLeast(minor, 24) then 'v3.27.5'
    else if versions.atLeast(minor, 23) then 'v3.25.2'
    else 'v3.21.6',

  // Each line is a difference between the manifests of upstream's releases.
  features(version)::
    local parts = std.split(version, '.');
    local since(release) = std.parseInt(parts[1]) >= release;
    local isNumber(text) = text != '' && std.all([std.member('0123456789', digit) for digit in std.stringChars(text)]);
    local valid = std.length(parts) == 3 && parts[0] == 'v3' && isNumber(parts[1]);
    // The patch of a release; one like v3.27.0-beta1 counts as its number says.
    local patch = std.split(std.split(parts[2], '-')[0], '+')[0];
    // Whether it is this patch of its line, or later.
    local patched(number) = isNumber(patch) && std.parseInt(patch) >= number;
    if !valid then error "addons.calico.version is '%s'; it must be a release of Calico 3, like v3.32.2" % version
    else {
      // The hosts' registries of upstream's own manifests.
      registry: if since(30) then 'quay.io' else 'docker.io',
      ipamConfigs: since(22),
      vxlanForIPv6: since(23),
      // The CNI plugin has an account of its own, in place of the agent's.
      pluginAccount: since(26),
      bgpFilters: since(26),
      tiers: since(29),
      nftables: since(29),
      adminPolicies: since(29) && !since(32),
      // Earlier the installer sets the SUID bit of `install`, `calico` and `calico-ipam` in its own image, stops where it
      // cannot, and copies all three to the host: CVE-2024-33522, fixed in 3.26.5 and 3.27.3
      // (https://github.com/advisories/GHSA-6362-gv4m-53ww).
      installerSetsSuid: !since(26) || (!since(27) && !patched(5)) || (!since(28) && since(27) && !patched(3)),
      // Later the agent itself limits the bandwidth of pods.
      bandwidthPlugin: !since(30),
      staged: since(30),
      assignmentMode: since(30),
      baselinePolicies: since(30) && !since(32),
      clusterPolicies: since(32),
      controllersStatus: since(32),
      policyNames: since(32),
      migrations: since(32),
      bgpDefaults: since(32),
    },
}
