import groovy.json.JsonOutput
import groovy.json.JsonSlurperClassic
import org.codehaus.groovy.runtime.InvokerHelper
import org.jenkinsci.plugins.workflow.steps.FlowInterruptedException

// Run vars/slipwayPipeline.groovy, named by the first argument, with steps that note what was asked of them: as one or more
// runs of a job at the same time, which see each other where Jenkins lets them, by locks and by currentBuild.
// Standard input: a list of runs {number, given, answers: [[part of a command, its standard output]…], job: its name,
// breaks: part of a command, a stage, "agent LABEL", "the input" or "the wait for RESOURCE", how: failed, or the name of a
// cause below, begins: [number of a run, what it has noted by then], holds: [where, as in breaks, number, what]}.
// Standard output: how each ended, and what happened, in order.

class UserInterruption {
}

class Rejection {
}

class ExceededTimeout {
}

class RemovedNodeCause {
}

/** What is known of a run, to itself and to others: as much of currentBuild as the library asks for. */
class Build {
    int number
    Map buildVariables
    String result
    String description
    List<Build> builds

    Build getNextBuild() {
        builds.findAll { it.number > number }.min { it.number }
    }
}

/** What all runs have noted, in order, and their locks. */
class Controller {
    static final long PATIENCE = 30000
    final List<Map> notes = []
    final Map<String, Integer> locks = [:]

    synchronized void note(int number, Map what) {
        notes << [run: number] + what
        notifyAll()
    }

    synchronized void await(String what, Closure there) {
        long deadline = System.currentTimeMillis() + PATIENCE
        while (!there()) {
            long left = deadline - System.currentTimeMillis()
            if (left <= 0) {
                throw new IllegalStateException("this never came: ${what}")
            }
            wait(left)
        }
    }

    void await(List noted) {
        await("run ${noted[0]} ${noted[1]}") { notes.any { it.run == noted[0] && it.containsKey(noted[1]) } }
    }

    synchronized boolean free(String resource) {
        !locks.containsKey(resource)
    }

    synchronized void locked(String resource, int number) {
        await("the lock ${resource}") { free(resource) }
        locks[resource] = number
        note(number, [locked: resource])
    }

    synchronized void unlocked(String resource, int number) {
        locks.remove(resource)
        note(number, [unlocked: resource])
    }
}

Binding steps(Map scenario, Build build, Controller controller) {
    def note = { Map what -> controller.note(build.number, what) }
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
        if (scenario.holds && text.contains(scenario.holds[0])) {
            note([holds: text])
            controller.await(scenario.holds.drop(1))
        }
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

    binding.setVariable('env', build.buildVariables)
    binding.setVariable('currentBuild', build)
    step('node') { String label, Closure body -> broken("agent ${label}"); note([node: label]); within("/agent-${label}", body); note([left: label]) }
    step('ws') { String path, Closure body -> within(path, body) }
    step('dir') { String path, Closure body -> within(path, body) }
    step('deleteDir') { -> note([deleted: place.drop(1).join('/')]) }
    step('pwd') { -> place.drop(1).join('/') }
    step('stage') { String name, Closure body -> note([stage: name]); broken(name); body() }
    step('timeout') { Map limit, Closure body -> note([timeout: limit.time, unit: limit.unit]); body(); note([over: limit.time]) }
    step('lock') { Map wanted, Closure body ->
        if (wanted.keySet() != ['resource'] as Set) {
            throw new IllegalArgumentException("the stand-in knows no lock with ${wanted.keySet()}")
        }
        if (!controller.free(wanted.resource)) {
            note([waits: wanted.resource])
            broken("the wait for ${wanted.resource}")
        }
        controller.locked(wanted.resource, build.number)
        try {
            body()
        } finally {
            controller.unlocked(wanted.resource, build.number)
        }
    }
    step('withEnv') { List settings, Closure body -> note([env: settings*.toString()]); body() }
    step('withCredentials') { List wanted, Closure body ->
        secret.addAll(wanted)
        note([credentials: wanted])
        try {
            body()
        } finally {
            secret.removeAll(wanted)
        }
    }
    step('file') { Map one -> [file: one.credentialsId, variable: one.variable] }
    step('sshUserPrivateKey') { Map one -> [key: one.credentialsId, variable: one.keyFileVariable] }
    step('choice') { Map one -> one }
    step('input') { Map one -> note([input: one.message.toString(), submitter: one.submitter]); broken('the input'); 'qa' }
    step('stash') { Map one -> note([stash: one.name, includes: one.includes.toString(), excludes: one.excludes]) }
    step('unstash') { String name -> note([unstash: name]) }
    step('sleep') { Map one -> note([slept: one.time, unit: one.unit]) }
    step('archiveArtifacts') { Map one -> note([kept: one.artifacts, orNothing: one.allowEmptyArchive]) }
    step('echo') { Object text -> note([echo: text.toString()]) }
    step('writeFile') { Map one -> note([wrote: one.file, text: one.text]) }
    step('readFile') { String path -> 'sha256:' + 'c' * 64 + '\n' }
    step('checkout') { Map one ->
        note([checkout: one.userRemoteConfigs[0].url, branch: one.branches[0].name, with: one.userRemoteConfigs[0].credentialsId])
        [GIT_COMMIT: 'ab' * 20]
    }
    step('sh') { Map one ->
        note([sh: one.script, in: place.drop(1).join('/'), with: secret*.variable])
        broken(one.script)
        def answer = scenario.answers.find { one.script.contains(it[0]) }
        one.returnStdout ? answer[1] : null
    }
    binding
}

def scenarios = new JsonSlurperClassic().parse(System.in.newReader('UTF-8'))
def controller = new Controller()
List<Build> builds = []
scenarios.each { one ->
    Map env = [BUILD_URL: "https://ci.example.net/job/hello/${one.number}/".toString(), JOB_NAME: one.job ?: 'hello',
               BUILD_NUMBER: one.number.toString()]
    builds << new Build(number: one.number, buildVariables: env, builds: builds)
}
Class library = new GroovyClassLoader(this.class.classLoader).parseClass(new File(args[0]))
Map ends = Collections.synchronizedMap([:])
List<Throwable> faults = Collections.synchronizedList([])
List<Thread> threads = [scenarios, builds].transpose().collect { Map scenario, Build build ->
    Thread.start {
        String end = 'finished'
        try {
            if (scenario.begins) {
                controller.await(scenario.begins)
            }
            InvokerHelper.createScript(library, steps(scenario, build, controller)).call(scenario.given)
        } catch (FlowInterruptedException error) {
            end = 'interrupted'
        } catch (IOException error) {
            end = error.message
        } catch (Throwable error) {
            faults << error
        }
        ends[build.number] = [end: end, result: build.result, description: build.description]
        controller.note(build.number, [ended: end])
    }
}
threads*.join()
if (faults) {
    throw faults[0]
}
println JsonOutput.toJson([ends: builds.collect { ends[it.number] }, trace: controller.notes])
