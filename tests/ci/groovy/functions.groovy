import groovy.json.JsonOutput
import groovy.json.JsonSlurperClassic
import io.slipway.Facts
import io.slipway.Words

// Call the library's pure functions as the JSON list on standard input says, and print what each gave or threw.
def calls = new JsonSlurperClassic().parse(System.in.newReader('UTF-8'))
def answers = calls.collect { call ->
    try {
        def owner = [Words: Words, Facts: Facts][call.of]
        [gave: owner.invokeMethod(call.name, call.with as Object[])]
    } catch (IllegalArgumentException error) {
        [threw: error.message]
    }
}
println JsonOutput.toJson(answers)
