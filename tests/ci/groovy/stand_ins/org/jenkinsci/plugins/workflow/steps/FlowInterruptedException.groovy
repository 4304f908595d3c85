package org.jenkinsci.plugins.workflow.steps

/** Stands in for what Jenkins throws into a run that is aborted, or that takes too long. */
class FlowInterruptedException extends InterruptedException {
    List<Object> causes = []
}
