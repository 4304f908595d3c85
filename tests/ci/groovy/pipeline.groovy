import groovy.json.JsonOutput
import groovy.json.JsonSlurperClassic
import org.jenkinsci.plugins.workflow.steps.FlowInterruptedException

// Run vars/slipwayPipeline.groovy, named by the first argument, with steps that note what was asked of them.
// Standard input: {given, answers: [[part of a command, its standard output]…], job: its name, breaks: part of a command,
// a stage, "agent LABEL" or "the input", how: failed, or the name of a cause below}. Standard output: what happened, in order.

class UserInterruption {
}

class Rejection {
}

class ExceededTimeout {
}

class RemovedNodeCause {
}

def scenario = new JsonSlurperClassic().parse(System.in.newReader('UTF-8'))
def trace = []
def place = ['/agent']
def secret = []
def binding = new Binding()
def step = { String name, Closure body -> binding.setVariable(name, body) }
def within = { String path, Closure body ->
    place << path
    try {
        body()
    } finally {
        place.remove(place.size() - 1)
    }
}
def broken = { String text ->
    if (!scenario.breaks || !text.contains(scenario.breaks)) {
        return
    }
    scenario.breaks = null
    if (scenario.how == 'failed') {
        throw new IOException('script returned exit code 1')
    }
    def error = new FlowInterruptedException()
    error.causes = [this.class.classLoader.loadClass(scenario.how).newInstance()]
    throw error
}

binding.setVariable('env', [BUILD_URL: 'https://ci.example.net/job/hello/7/', JOB_NAME: scenario.job ?: 'hello', BUILD_NUMBER: '7'])
step('node') { String label, Closure body -> broken("agent ${label}"); trace << [node: label]; within("/agent-${label}", body); trace << [left: label] }
step('ws') { String path, Closure body -> within(path, body) }
step('dir') { String path, Closure body -> within(path, body) }
step('deleteDir') { -> trace << [deleted: place.drop(1).join('/')] }
step('pwd') { -> place.drop(1).join('/') }
step('stage') { String name, Closure body -> trace << [stage: name]; broken(name); body() }
step('timeout') { Map limit, Closure body -> trace << [timeout: limit.time, unit: limit.unit]; body() }
step('withEnv') { List settings, Closure body -> trace << [env: settings*.toString()]; body() }
step('withCredentials') { List wanted, Closure body ->
    secret.addAll(wanted)
    trace << [credentials: wanted]
    try {
        body()
    } finally {
        secret.removeAll(wanted)
    }
}
step('file') { Map one -> [file: one.credentialsId, variable: one.variable] }
step('sshUserPrivateKey') { Map one -> [key: one.credentialsId, variable: one.keyFileVariable] }
step('choice') { Map one -> one }
step('input') { Map one -> trace << [input: one.message.toString(), submitter: one.submitter]; broken('the input'); 'qa' }
step('stash') { Map one -> trace << [stash: one.name, includes: one.includes.toString(), excludes: one.excludes] }
step('unstash') { String name -> trace << [unstash: name] }
step('sleep') { Map one -> trace << [slept: one.time, unit: one.unit] }
step('archiveArtifacts') { Map one -> trace << [kept: one.artifacts, orNothing: one.allowEmptyArchive] }
step('echo') { Object text -> trace << [echo: text.toString()] }
step('writeFile') { Map one -> trace << [wrote: one.file, text: one.text] }
step('readFile') { String path -> 'sha256:' + 'c' * 64 + '\n' }
step('checkout') { Map one ->
    trace << [checkout: one.userRemoteConfigs[0].url, branch: one.branches[0].name, with: one.userRemoteConfigs[0].credentialsId]
    [GIT_COMMIT: 'ab' * 20]
}
step('sh') { Map one ->
    trace << [sh: one.script, in: place.drop(1).join('/'), with: secret*.variable]
    broken(one.script)
    def answer = scenario.answers.find { one.script.contains(it[0]) }
    one.returnStdout ? answer[1] : null
}

def pipeline = new GroovyShell(this.class.classLoader, binding).parse(new File(args[0]))
def end = 'finished'
try {
    pipeline.call(scenario.given)
} catch (FlowInterruptedException error) {
    end = 'interrupted'
} catch (IOException error) {
    end = error.message
}
println JsonOutput.toJson([end: end, trace: trace])
