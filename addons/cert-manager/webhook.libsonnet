// The webhook of cert-manager: it refuses what its controllers could not make sense of.
local kube = import '../lib/kubernetes.libsonnet';

local name = 'cert-manager-webhook';
local authority = name + '-ca';

// Everything of its groups, with the status, where approvals are written.
local plurals = {
  'cert-manager.io': ['certificates', 'certificaterequests', 'issuers', 'clusterissuers'],
  'acme.cert-manager.io': ['orders', 'challenges'],
};
local withStatus(resources) = std.flattenArrays([[one, one + '/status'] for one in resources]);

// The injector fills in caBundle from the Secret. It is left out here, so that server-side apply does not own the field
// and the two do not fight over it.
local configuration(kind, namespace, webhook) = {
  apiVersion: 'admissionregistration.k8s.io/v1',
  kind: kind,
  metadata: {
    name: name,
    labels: kube.labels('cert-manager', 'webhook'),
    annotations: { 'cert-manager.io/inject-ca-from-secret': '%s/%s' % [namespace, authority] },
  },
  webhooks: [{
    name: 'webhook.cert-manager.io',
    admissionReviewVersions: ['v1'],
    matchPolicy: 'Equivalent',
    failurePolicy: 'Fail',
    sideEffects: 'None',
    timeoutSeconds: 10,
  } + webhook],
};
local call(namespace, path) = { service: { name: name, namespace: namespace, path: path, port: 443 } };

{
  container:: {
    args: [
      '--secure-port=10250',
      '--dynamic-serving-ca-secret-namespace=$(POD_NAMESPACE)',
      '--dynamic-serving-ca-secret-name=' + authority,
      '--dynamic-serving-dns-names=%s' % std.join(',', [name, name + '.$(POD_NAMESPACE)', name + '.$(POD_NAMESPACE).svc']),
    ],
    ports: [
      { containerPort: 10250, name: 'https', protocol: 'TCP' },
      { containerPort: 6080, name: 'healthcheck', protocol: 'TCP' },
    ],
    livenessProbe: {
      httpGet: { path: '/livez', port: 'healthcheck', scheme: 'HTTP' },
      initialDelaySeconds: 60,
      periodSeconds: 10,
    },
    readinessProbe: {
      httpGet: { path: '/healthz', port: 'healthcheck', scheme: 'HTTP' },
      initialDelaySeconds: 5,
      periodSeconds: 5,
    },
  },

  service(namespace):: kube.service(name, namespace, kube.selector('cert-manager', 'webhook'), [
    { name: 'https', port: 443, targetPort: 'https', protocol: 'TCP' },
  ]),

  admission(namespace):: {
    // The webhook makes an authority of its own and keeps it here; it is never empty for longer than its first start.
    // Declared without data, it leaves the webhook no need to create Secrets, and apply nothing to overwrite.
    webhookAuthority: kube.object('v1', 'Secret', authority, namespace) + kube.labelled('cert-manager', 'webhook') + {
      metadata+: { annotations: { 'cert-manager.io/allow-direct-injection': 'true' } },
      type: 'Opaque',
    },
    validating: configuration('ValidatingWebhookConfiguration', namespace, {
      clientConfig: call(namespace, '/validate'),
      namespaceSelector: {
        matchExpressions: [{ key: 'cert-manager.io/disable-validation', operator: 'NotIn', values: ['true'] }],
      },
      rules: [
        {
          apiGroups: [group],
          apiVersions: ['v1'],
          operations: ['CREATE', 'UPDATE'],
          resources: withStatus(plurals[group]),
          scope: '*',
        }
        for group in std.objectFields(plurals)
      ],
    }),
    // It writes into a request who made it, so that nobody can ask in another's name.
    mutating: configuration('MutatingWebhookConfiguration', namespace, {
      clientConfig: call(namespace, '/mutate'),
      rules: [{
        apiGroups: ['cert-manager.io'],
        apiVersions: ['v1'],
        operations: ['CREATE'],
        resources: ['certificaterequests'],
        scope: '*',
      }],
    }),
  },
}
