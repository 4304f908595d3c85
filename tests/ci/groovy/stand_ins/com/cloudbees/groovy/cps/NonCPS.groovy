package com.cloudbees.groovy.cps

import java.lang.annotation.Retention
import java.lang.annotation.RetentionPolicy

/** Stands in for the annotation of Jenkins by which a method runs as plain Groovy. */
@Retention(RetentionPolicy.RUNTIME)
@interface NonCPS {
}
