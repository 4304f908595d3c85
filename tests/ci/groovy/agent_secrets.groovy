// Run the script that fills the Secrets of agents, named by the first argument, until standard input ends.
new GroovyShell(getClass().classLoader).evaluate(new File(args[0]))
System.in.read()
