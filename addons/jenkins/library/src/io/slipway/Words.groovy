package io.slipway

import com.cloudbees.groovy.cps.NonCPS

/** Commands of the document that `ci.stages` makes: lists of words, made one line for a POSIX shell. */
class Words implements Serializable {
    private static final long serialVersionUID = 1L
    /** What only the run knows. A build command may hold other words between two signs, and they stay. */
    static final List<String> SLOTS = ['WORK', 'OUT', 'TAG', 'COMMIT', 'IMAGE', 'AUTH', 'SECRET', 'KEY', 'KNOWN_HOSTS']

    /**
     * Return a command as a line for sh, each word quoted, @NAME@ filled.
     *
     * What `values` names is put in as text. What `variables` names is put in as the shell's own variable, so that a
     * credential's file is named by the shell and not in the line.
     */
    @NonCPS
    static String line(List<String> words, Map<String, String> values, Map<String, String> variables = [:]) {
        words.collect { word(it, values, variables) }.join(' ')
    }

    /** Return a command as a line for sh in which nothing is filled. */
    @NonCPS
    static String asWritten(List<String> words) {
        words.collect { quoted(it) ?: "''" }.join(' ')
    }

    @NonCPS
    private static String word(String text, Map<String, String> values, Map<String, String> variables) {
        def whole = new StringBuilder()
        int at = 0
        def slots = text =~ /@([A-Z][A-Z0-9_]*)@/
        while (slots.find()) {
            String name = slots.group(1)
            whole << quoted(text.substring(at, slots.start()))
            if (variables.containsKey(name)) {
                whole << '"$' + variables[name] + '"'
            } else if (values[name] != null) {
                whole << quoted(values[name])
            } else if (!(name in SLOTS) && !name.startsWith('SLIPWAY_')) {
                whole << quoted(slots.group())
            } else {
                throw new IllegalArgumentException("nothing is known for @${name}@ in: ${text}".toString())
            }
            at = slots.end()
        }
        whole << quoted(text.substring(at))
        whole.length() ? whole.toString() : "''"
    }

    /** Return a text as sh reads it back, unchanged. */
    @NonCPS
    static String quoted(String text) {
        if (text.isEmpty() || text ==~ /[A-Za-z0-9_\/.:=,+@%-]+/) {
            return text
        }
        "'" + text.replace("'", "'\\''") + "'"
    }
}
