// CAs of the house (caFile): where the file lies, and how each program is told to trust it beside the public ones.
// Where there is none, every part here is empty.
local kube = import '../lib/kubernetes.libsonnet';
local pods = import '../lib/pods.libsonnet';

local given = '/etc/slipway/ca';
local made = '/etc/slipway/trust';

function(cluster)
  local text = cluster.jenkinsCa;
  local none = text == null;
  local mount = { name: 'ca', mountPath: given, readOnly: true };
  // What trust.sh makes in a volume of the pod, since java reads no PEM and git takes one file for all that it trusts.
  local container(image) = {
    name: 'trust',
    image: image,
    command: ['/bin/sh', given + '/trust.sh', given + '/ca.crt', made],
    resources: { requests: { cpu: '50m', memory: '64Mi' }, limits: { memory: '256Mi' } },
    securityContext: pods.locked,
    volumeMounts: [mount, { name: 'trust', mountPath: made }],
  };
  local bundle = made + '/ca.crt';
  {
    configMap(namespace):: kube.configMap('ca', namespace, {
      'ca.crt': text,
      'trust.sh': importstr 'init/trust.sh',
    }) + kube.labelled('jenkins', 'ca'),
    wanted:: !none,
    // What a pod is made anew for.
    data:: if none then [] else [text, importstr 'init/trust.sh'],
    // For a pod with java: `image` has it, as that of the controller and that of inbound agents.
    initContainers(image):: if none then [] else [container(image)],
    volumes:: if none then [] else [
      { name: 'ca', configMap: { name: 'ca' } },
      { name: 'trust', emptyDir: { sizeLimit: '16Mi' } },
    ],
    mounts:: if none then [] else [{ name: 'trust', mountPath: made, readOnly: true }],
    environment:: if none then [] else [
      // Every java; it says on its standard error that it has read this.
      {
        name: 'JAVA_TOOL_OPTIONS',
        value: '-Djavax.net.ssl.trustStore=%s/cacerts -Djavax.net.ssl.trustStorePassword=changeit' % made,
      },
      // git and curl, which take one file in place of theirs.
      { name: 'GIT_SSL_CAINFO', value: bundle },
      { name: 'CURL_CA_BUNDLE', value: bundle },
      // Programs in Go, such as scanners, helm, skopeo and buildah, and all with OpenSSL, such as Python and PHP.
      { name: 'SSL_CERT_FILE', value: bundle },
      // Python's pip and requests bring certificates of their own along, as does Node.js, which takes more beside them.
      { name: 'PIP_CERT', value: bundle },
      { name: 'REQUESTS_CA_BUNDLE', value: bundle },
      { name: 'NODE_EXTRA_CA_CERTS', value: bundle },
    ],
    // For BuildKit, a program in Go whose image has no java: it reads the folder of its image's certificates as well.
    plain:: {
      volumes: if none then [] else [{ name: 'ca', configMap: { name: 'ca' } }],
      mounts: if none then [] else [mount],
      environment: if none then [] else [{ name: 'SSL_CERT_FILE', value: given + '/ca.crt' }],
    },
  }
