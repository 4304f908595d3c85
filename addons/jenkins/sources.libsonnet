// Where the languages' tools fetch packages: a ConfigMap with the file of each, and the variables that name them.
local kube = import '../lib/kubernetes.libsonnet';
local names = import 'names.libsonnet';

local folder = '/etc/slipway/sources';
local escaped(text) = std.strReplace(std.strReplace(text, '&', '&amp;'), '<', '&lt;');
local settings(mirror) =
  '<settings xmlns="http://maven.apache.org/SETTINGS/1.2.0">\n'
  + (if mirror == null then ''
     else '  <mirrors>\n    <mirror>\n      <id>mirror</id>\n      <mirrorOf>*</mirrorOf>\n      <url>%s</url>\n    </mirror>\n  </mirrors>\n'
          % escaped(mirror))
  + '</settings>\n';
local line(format, value) = if value == null then '' else format % value + '\n';

function(config)
  local sources = config.sources;
  local composer = if sources.composer == null then {} else {
    repositories: [{ type: 'composer', url: sources.composer }, { packagist: false }],
  };
  local set(name, value) = if value == null then [] else [{ name: name, value: value }];
  // https://go.dev/ref/mod#environment-variables
  local go = { GOPROXY: sources.go, GOSUMDB: sources.goSumDb, GONOSUMDB: sources.goNoSumDb };
  local pip = line('index-url = %s', sources.pip)
              + line('extra-index-url = %s', sources.pipExtra)
              + line('trusted-host = %s', sources.pipTrustedHost);
  // What an image build of Java reads its sources from: `ci.stages` makes it the build's secret.
  local settingsFile = if sources.maven == null && config.mavenSettings == null then null else folder + '/settings.xml';
  local shared = config.caches != null;
  // java takes user.home from /etc/passwd, where user 1000 of the image has another home. What writes into a repository
  // beside others waits for its turn by locks on files (Maven 3.9 and later;
  // https://maven.apache.org/resolver/maven-resolver-impl/synccontextfactory.html).
  local mavenArguments = std.join(' ', [
    '--settings %s/settings.xml' % folder,
    '-Dmaven.repo.local=' + (if shared then '/caches/maven' else names.home + '/.m2/repository'),
  ] + (if shared then [
         '-Daether.syncContext.named.factory=file-lock',
         '-Daether.syncContext.named.nameMapper=file-gav',
       ] else []));
  {
    folder:: folder,
    configMap(namespace):: kube.configMap('package-sources', namespace, {
      // Maven's schema: https://maven.apache.org/settings.html
      'settings.xml': if config.mavenSettings != null then config.mavenSettings else settings(sources.maven),
      // What Composer unpacks with.
      unzip: importstr 'init/unzip.sh',
      npmrc: line('registry=%s', sources.npm),
      'go.env': std.join('', [line(name + '=%s', go[name]) for name in std.objectFields(go)]),
      'pip.conf': if pip == '' then '' else '[global]\n' + pip,
      // https://getcomposer.org/doc/05-repositories.md#disabling-packagist-org
      'composer.json': std.manifestJsonEx(composer, '  ') + '\n',
    }) + kube.labelled('jenkins', 'agent'),
    // The names of Dockerfiles' build arguments, from which the pipeline passes on what images are built with, and where
    // tools find files and caches.
    environment::
      std.flattenArrays([set(name, go[name]) for name in std.objectFields(go)])
      + set('NPM_CONFIG_REGISTRY', sources.npm)
      + set('PIP_INDEX_URL', sources.pip)
      + set('PIP_EXTRA_INDEX_URL', sources.pipExtra)
      + set('PIP_TRUSTED_HOST', sources.pipTrustedHost)
      + set('COMPOSER_REPOSITORY', sources.composer)
      + set('SLIPWAY_MAVEN_SETTINGS', settingsFile)
      + [
        { name: 'GOENV', value: folder + '/go.env' },
        { name: 'NPM_CONFIG_USERCONFIG', value: folder + '/npmrc' },
        { name: 'PIP_CONFIG_FILE', value: folder + '/pip.conf' },
        // The image says /go, which is read-only; the cache of builds is below HOME.
        { name: 'GOPATH', value: names.home + '/go' },
        // From Maven 3.9 on: https://maven.apache.org/configure.html#maven_args-environment-variable
        { name: 'MAVEN_ARGS', value: mavenArguments },
        // What mvnw with its jar takes in place of that. The image has a folder there, which mvnw takes for a goal:
        // https://github.com/carlossg/docker-maven/issues/301
        { name: 'MAVEN_CONFIG', value: mavenArguments },
        // Where mvnw and gradlew keep what they fetch, which is else below user.home.
        { name: 'MAVEN_USER_HOME', value: names.home + '/.m2' },
        { name: 'GRADLE_USER_HOME', value: names.home + '/.gradle' },
      ]
      + (if !shared then [] else [
           // A lock whose file is deleted as it is opened, as java does on Linux, is nobody else's. Read by java's start only.
           { name: 'MAVEN_OPTS', value: '-Daether.named.file-lock.deleteLockFiles=false' },
           { name: 'GOMODCACHE', value: '/caches/go' },
           { name: 'NPM_CONFIG_CACHE', value: '/caches/npm' },
           { name: 'PIP_CACHE_DIR', value: '/caches/pip' },
           { name: 'COMPOSER_CACHE_DIR', value: '/caches/composer' },
         ]),
  }
