import groovy.json.JsonOutput

// Run a script of Job DSL, on standard input, with the methods of pipelineJob that Job DSL documents and no others
// (https://jenkinsci.github.io/job-dsl-plugin/#path/pipelineJob), and print the jobs that it makes.

/** Methods of one block by name; what a block does not have is an error, as in Job DSL. */
class Block {
    Map<String, Closure> methods

    Object invokeMethod(String name, Object words) {
        if (!methods.containsKey(name)) {
            throw new MissingMethodException(name, Block, words as Object[])
        }
        methods[name].call(*(words as List))
    }

    static void run(Closure body, Map<String, Closure> methods) {
        Closure own = body.clone() as Closure
        own.delegate = new Block(methods: methods)
        own.resolveStrategy = Closure.DELEGATE_ONLY
        own()
    }
}

List jobs = []
Binding binding = new Binding()
binding.setVariable('pipelineJob', { String name, Closure body ->
    Map job = [name: name, parameters: [:]]
    jobs << job
    Block.run(body, [
        description: { String text -> job.description = text },
        logRotator: { Closure inner -> Block.run(inner, [numToKeep: { int kept -> job.kept = kept }]) },
        properties: { Closure inner -> Block.run(inner, [disableConcurrentBuilds: { -> job.oneAtATime = true }]) },
        parameters: { Closure inner ->
            Block.run(inner, [
                choiceParam: { String of, List<String> choices, String text -> job.parameters[of] = choices },
                stringParam: { String of, String value, String text -> job.parameters[of] = value },
            ])
        },
        definition: { Closure inner ->
            Block.run(inner, [cps: { Closure cps ->
                Block.run(cps, [script: { String text -> job.script = text }, sandbox: { boolean on -> job.sandbox = on }])
            }])
        },
    ])
})
new GroovyShell(binding).evaluate(System.in.getText('UTF-8'))
println JsonOutput.toJson(jobs)
