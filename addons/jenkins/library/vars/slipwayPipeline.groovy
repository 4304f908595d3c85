import io.slipway.Facts
import io.slipway.Words
import org.jenkinsci.plugins.workflow.steps.FlowInterruptedException

/**
 * From a project file to a running release. All that is decided is decided by Slipway's verbs; here is only the order.
 *
 * given.project        name of the project in the cluster's folder projects/, or a file in the configuration
 * given.cluster        the cluster whose configuration it is
 * given.branch         branch, tag or commit that is built in place of the project's own; ci.stages says whether it is one
 * given.environment    dev, qa, pre or prd; asked for before the release where it is not said
 * given.configuration  [url, branch, credential] of the repository with clusters/
 * given.gitCredential  id of the credential that fetches the project's source, null where none is needed
 * given.approvers      users and groups who may release to prd, separated by commas; anybody who may build unless said
 */
def call(Map given) {
    Map run = [
        given: given, began: System.currentTimeMillis(), outcome: 'failure', project: given.project,
        environment: given.environment ?: 'an environment', link: env.BUILD_URL,
    ]
    try {
        // For agents that never come; each stage has its own, shorter time.
        timeout(time: 12, unit: 'HOURS') { released(run) }
        if (run.overtakenBy) {
            run.outcome = 'aborted'
        } else {
            run.outcome = 'success'
            run.failedStage = null
        }
    } catch (FlowInterruptedException error) {
        run.outcome = Facts.outcome(Facts.names(error.causes))
        throw error
    } finally {
        run.ended = System.currentTimeMillis()
        told(run)
    }
}

/** The stages up to the release, in order. */
void released(Map run) {
    onAgent(run, 'Fetch project', 'slipway') {
        during(run, 'Fetch project', 5) { fetch(run) }
        during(run, 'Checkout', run.plan.timeouts.checkout) { source(run) }
        during(run, 'Scan source', run.plan.timeouts.scan) { scanned(run, run.plan.scan.commands) }
    }
    if (run.plan.build.commands || run.plan.vm) {
        onAgent(run, 'Build', run.plan.agents.build) {
            during(run, 'Build', run.plan.timeouts.build) { built(run) }
        }
    }
    if (run.plan.image) {
        onAgent(run, 'Dockerfile', run.plan.agents.tools) { image(run) }
    }
    during(run, 'Choose environment', run.plan.timeouts.approval) { chosen(run) }
    inTurn(run, 'Release') {
        onAgent(run, 'Release', run.plan.agents.tools) {
            try {
                during(run, 'Release', run.plan.timeouts.deploy) { release(run) }
            } catch (FlowInterruptedException error) {
                recovered(run)
                throw error
            }
        }
    }
}

/**
 * Let one run at a time release the project to the environment, in the order in which they ask; `next` is the stage that
 * waits. Nobody's agent is kept waiting, nor do the stage's own minutes begin: the wait is part of the run's hours.
 *
 * A run that a newer one overtook ends here. The step milestone knows no environments: a release to dev would end the run
 * that waits for its approval for prd. The lock's own options do not know which run is newer, only who asked first.
 */
void inTurn(Map run, String next, Closure body) {
    run.failedStage = next
    lock(resource: "${run.project}-${run.environment}".toString()) {
        run.overtakenBy = overtaker(run.environment)
        if (run.overtakenBy) {
            String why = "run ${run.overtakenBy} is newer and was released to ${run.environment} meanwhile".toString()
            echo("nothing was released: ${why}; start a new run with BRANCH ${run.commit} to release this source all the same")
            currentBuild.description = why
            currentBuild.result = 'ABORTED'
        } else {
            body()
        }
    }
}

/** Return the number of a newer run of this job that was released to the environment, null where there is none. */
Integer overtaker(String environment) {
    def newer = currentBuild.nextBuild
    while (newer != null) {
        if (newer.buildVariables.SLIPWAY_RELEASED == environment) {
            return newer.number
        }
        newer = newer.nextBuild
    }
    null
}

/** Run on an agent, in a folder that no other run has, and leave nothing there; `next` is the stage that waits for it. */
void onAgent(Map run, String next, String label, Closure body) {
    run.failedStage = next
    node(label) {
        ws("slipway/${env.JOB_NAME}/${env.BUILD_NUMBER}") {
            try {
                deleteDir()
                withEnv(["SLIPWAY_ROOT=${pwd()}/configuration", 'LC_ALL=C.UTF-8']) { body() }
            } finally {
                deleteDir()
                // Where steps keep their scripts and files of credentials for as long as they run.
                dir("${pwd()}@tmp") { deleteDir() }
            }
        }
    }
}

/** One stage, which has so many minutes; while it runs it is the one that failed. */
void during(Map run, String name, int minutes, Closure body) {
    run.failedStage = name
    stage(name) {
        timeout(time: minutes, unit: 'MINUTES') { body() }
    }
}

void fetch(Map run) {
    Map from = run.given.configuration
    dir('configuration') { cloned(from.url, from.branch ?: 'main', from.credential) }
    // What is sealed is for the operators of the cluster, and what is rendered for its hosts, but for the chart.
    String others = '**/.git/**,**/pki/**,**/secrets/**,configuration/rendered/*/hosts/**,configuration/rendered/*/objects/**'
    stash(name: 'configuration', includes: 'configuration/**', excludes: others, useDefaultExcludes: false)
    sh(label: 'validate', script: Words.line(['slipway', 'ci.validate'] + named(run), [:]))
    Map answer = Facts.read(answered('validate', ['slipway', 'ci.validate'] + named(run) + ['--json']))
    run.environments = answer.projects[0].environments
    plan(run, run.given.environment ?: run.environments[0])
    run.project = run.plan.project
}

List<String> named(Map run) {
    ['--project', run.given.project, '--cluster', run.given.cluster]
}

String answered(String label, List<String> words) {
    sh(label: label, script: Words.line(words, [:]), returnStdout: true)
}

/** Ask Slipway what is to be done for an environment; paths in it are of this agent. */
void plan(Map run, String environment) {
    List<String> words = ['slipway', 'ci.stages'] + named(run) + ['--env', environment, '--json']
    if (run.given.branch) {
        words += ['--branch', run.given.branch]
    }
    run.plan = Facts.read(answered('plan', words))
}

/** Clone a repository and return the commit; the credential stays with the step. */
String cloned(String url, String branch, String credential) {
    Map remote = credential ? [url: url, credentialsId: credential] : [url: url]
    checkout([$class: 'GitSCM', branches: [[name: branch]], userRemoteConfigs: [remote]]).GIT_COMMIT
}

void source(Map run) {
    dir('source') {
        run.commit = cloned(run.plan.git.url, run.plan.git.branch, run.given.gitCredential)
        run.author = sh(label: 'author', script: "git log -1 --format='%an <%ae>'", returnStdout: true).trim()
    }
    run.tag = Facts.tag(run.commit, env.BUILD_NUMBER)
    dir('out') { writeFile(file: 'commit', text: run.commit) }
    stash(name: 'source', includes: 'source/**', useDefaultExcludes: false)
}

/** Run commands of the plan one after the other; `variables` are files of credentials that the shell knows. */
void all(Map run, List<List<String>> commands, Map<String, String> variables = [:]) {
    Map<String, String> known = values(run)
    for (int index = 0; index < commands.size(); index++) {
        List<String> words = commands[index]
        sh(label: words.take(2).join(' '), script: Words.line(words, known, variables))
    }
}

/** Scan and judge; what the scanner found stays with the run, whatever the verdict. */
void scanned(Map run, List<List<String>> commands) {
    try {
        all(run, commands)
    } finally {
        archiveArtifacts(artifacts: 'out/scan-*.json', allowEmptyArchive: true)
    }
}

Map<String, String> values(Map run) {
    [WORK: "${pwd()}/source".toString(), OUT: "${pwd()}/out".toString(), TAG: run.tag, COMMIT: run.commit,
     IMAGE: run.image]
}

void built(Map run) {
    unstash('source')
    dir('source') {
        for (int index = 0; index < run.plan.build.commands.size(); index++) {
            // The project's own words: what stands between two signs in them is the project's too.
            sh(label: 'build', script: Words.asWritten(run.plan.build.commands[index]))
        }
    }
    if (run.plan.vm) {
        // Where all of the source is needed, all of it is what was built.
        String artifact = run.plan.build.artifact
        String includes = artifact == '.' ? 'source/**' : "source/${artifact},source/${artifact}/**"
        stash(name: 'artifact', includes: includes, useDefaultExcludes: false)
    }
}

/** Dockerfile, image, scan and push; the image is an archive until it passed the scan. */
void image(Map run) {
    Map times = run.plan.timeouts
    during(run, 'Dockerfile', times.dockerfile) {
        prepared(run, 'source')
        all(run, run.plan.image.dockerfile)
    }
    during(run, 'Build image', times.image) { loggedIn(run, run.plan.image.build) }
    during(run, 'Scan image', times.imageScan) { scanned(run, run.plan.image.scan) }
    during(run, 'Push image', times.push) {
        loggedIn(run, run.plan.image.push)
        run.image = Facts.image(run.plan.image.repository, run.tag, readFile('out/digest'))
    }
}

/** Run commands that find a file with logins to registries. */
void loggedIn(Map run, List<List<String>> commands) {
    withCredentials([file(credentialsId: run.plan.image.credential, variable: 'SLIPWAY_AUTH')]) {
        all(run, commands, [AUTH: 'SLIPWAY_AUTH'])
    }
}

/** Fill a fresh folder with what was stashed, and ask again for the plan, whose paths are of the agent. */
void prepared(Map run, String stashed) {
    unstash('configuration')
    unstash(stashed)
    dir('out') { writeFile(file: 'commit', text: run.commit) }
    plan(run, run.plan.environment)
}

/** Nobody's agent is kept waiting while people decide. */
void chosen(Map run) {
    String name = run.given.environment
    if (!name) {
        List ask = [choice(name: 'ENVIRONMENT', choices: run.environments, description: 'where this is released')]
        name = input(message: "Release ${run.project} ${run.tag}?", ok: 'Release', parameters: ask)
    }
    run.environment = name
    if (run.plan.asks.contains(name)) {
        Map question = [message: "Release ${run.project} ${run.tag} to ${name}?", ok: 'Release']
        input(run.given.approvers ? question + [submitter: run.given.approvers] : question)
    }
}

void release(Map run) {
    run.plan.environment = run.environment
    prepared(run, run.plan.vm ? 'artifact' : 'source')
    if (run.plan.vm) {
        machines(run)
    } else {
        all(run, run.plan.release.commands)
    }
    // What a run sets here stays with it, over restarts of the controller too: older ones see it.
    env.SLIPWAY_RELEASED = run.environment
}

/** Bring back what an abort left half-way; helm had five seconds for that, which are over when this begins. */
void recovered(Map run) {
    if (!run.plan.release) {
        return
    }
    try {
        timeout(time: run.plan.timeouts.recover, unit: 'MINUTES') {
            sleep(time: 10, unit: 'SECONDS')
            all(run, run.plan.release.recover)
        }
    } catch (Exception error) {
        echo("the release may be left half-way, and the next run sees to it: ${error.message}")
    }
}

void machines(Map run) {
    Map vm = run.plan.vm
    List wanted = [
        sshUserPrivateKey(credentialsId: vm.credential, keyFileVariable: 'SLIPWAY_KEY'),
        file(credentialsId: vm.knownHosts, variable: 'SLIPWAY_KNOWN_HOSTS'),
    ]
    run.artifact = "${run.plan.build.artifact} ${run.tag}".toString()
    withCredentials(wanted) {
        Map<String, String> variables = [KEY: 'SLIPWAY_KEY', KNOWN_HOSTS: 'SLIPWAY_KNOWN_HOSTS']
        String line = Words.line(vm.commands[0], values(run), variables)
        Map answer = Facts.read(sh(label: 'release to machines', script: line, returnStdout: true))
        run.artifact = "${run.plan.build.artifact} ${run.tag} sha256:${answer.digest}".toString()
    }
}

/** Tell those who want to know. That nobody could be told is in the log, and changes nothing of the run. */
void told(Map run) {
    if (!run.plan?.notify?.targets) {
        return
    }
    try {
        timeout(time: 1, unit: 'HOURS') {
            onAgent(run, run.failedStage, run.plan.agents.tools) {
                stage('Notify') {
                    timeout(time: run.plan.timeouts.notify, unit: 'MINUTES') { sent(run) }
                }
            }
        }
    } catch (Exception error) {
        echo("the notification was not sent: ${error.message}")
    }
}

void sent(Map run) {
    unstash('configuration')
    plan(run, run.plan.environment)
    dir('out') { writeFile(file: 'event.json', text: Facts.event(run)) }
    List<String> credentials = run.plan.notify.credentials
    List wanted = []
    Map<String, String> variables = [:]
    for (int index = 0; index < credentials.size(); index++) {
        String name = Facts.variable(index)
        wanted << file(credentialsId: credentials[index], variable: name)
        variables[name] = name
    }
    withCredentials(wanted) {
        List<String> words = run.plan.notify.command + Facts.webhooks(credentials)
        sh(label: 'notify', script: Words.line(words, values(run), variables))
    }
}
