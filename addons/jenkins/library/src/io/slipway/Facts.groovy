package io.slipway

import com.cloudbees.groovy.cps.NonCPS
import groovy.json.JsonOutput
import groovy.json.JsonSlurperClassic

/** What is known of one run, as texts: its tag, its image, the event that is told at its end. */
class Facts implements Serializable {
    private static final long serialVersionUID = 1L
    /** Why a run ends that somebody ends: the run itself, its input, its wait for an agent, a newer run. */
    static final List<String> BY_PEOPLE = ['UserInterruption', 'Rejection', 'QueueTaskCancelled', 'CancelledCause']

    /** Return a JSON document as plain maps and lists, which a run can keep over a restart of the controller. */
    @NonCPS
    static Object read(String text) {
        new JsonSlurperClassic().parseText(text)
    }

    /** Return the tag of what a run makes: twelve letters of the commit and the number of the run. */
    @NonCPS
    static String tag(String commit, Object build) {
        if (!(commit ==~ /[0-9a-f]{40,64}/)) {
            throw new IllegalArgumentException("no commit: ${commit}".toString())
        }
        "${commit.substring(0, 12)}-${build}".toString()
    }

    /** Return an image as it is released: by tag for people, by digest for machines. */
    @NonCPS
    static String image(String repository, String tag, String digest) {
        String plain = digest.trim()
        if (!(plain ==~ /sha256:[0-9a-f]{64}/)) {
            throw new IllegalArgumentException("no digest came with the push: ${plain}".toString())
        }
        "${repository}:${tag}@${plain}".toString()
    }

    /** Return the event of a run as the JSON document that `ci.notify` takes; what is null is left out. */
    @NonCPS
    static String event(Map facts) {
        Map<String, Object> known = new LinkedHashMap<>()
        ['project', 'environment', 'outcome', 'commit', 'author', 'image', 'artifact', 'failedStage', 'link'].each {
            if (facts[it] != null) {
                known[it] = facts[it].toString()
            }
        }
        known['durationSeconds'] = Math.max(0L, ((facts['ended'] as long) - (facts['began'] as long)).intdiv(1000L))
        JsonOutput.toJson(known)
    }

    /** Return "aborted" for a run that somebody ended, "failure" for one that took too long or lost its agent. */
    @NonCPS
    static String outcome(List<String> causes) {
        causes.any { it in BY_PEOPLE } ? 'aborted' : 'failure'
    }

    /** Return the simple names of the classes of some causes. */
    @NonCPS
    static List<String> names(Collection causes) {
        causes.collect { it.getClass().simpleName }
    }

    /** Return the name of the shell's variable that holds the file of the n-th webhook. */
    @NonCPS
    static String variable(int index) {
        "SLIPWAY_WEBHOOK_${index}".toString()
    }

    /** Return what `ci.notify` is given for its webhooks: each credential with the file in which its URL is. */
    @NonCPS
    static List<String> webhooks(List<String> credentials) {
        List<String> words = []
        credentials.eachWithIndex { credential, index ->
            words << '--webhook' << "${credential}=@${variable(index)}@".toString()
        }
        words
    }
}
