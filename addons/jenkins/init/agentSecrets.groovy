/*
 * Jenkins makes the secret of an agent from its name and a key of its own. Agents that run all the time read theirs from
 * a Secret, and this is what writes it there: nobody has to carry it.
 *
 * Jenkins runs it at its start (https://www.jenkins.io/doc/book/managing/groovy-hook-scripts/). It goes on by itself, so
 * that the start waits for nothing, and looks again: a Secret that was made anew is filled anew.
 *
 * SLIPWAY_AGENTS  what to fill, separated by spaces: AGENT=NAMESPACE/SECRET
 */
import groovy.json.JsonOutput
import java.net.http.HttpClient
import java.net.http.HttpRequest
import java.net.http.HttpResponse
import java.security.KeyStore
import java.security.cert.CertificateFactory
import java.time.Duration
import java.util.logging.Level
import java.util.logging.Logger
import javax.net.ssl.SSLContext
import javax.net.ssl.TrustManagerFactory
import jenkins.model.Jenkins

class AgentSecrets {
    private static final Logger LOG = Logger.getLogger('slipway.agentSecrets')
    private static final long AFTER_FAILURE = 10_000L
    private static final long AFTER_SUCCESS = 300_000L
    private final String api
    private final File account

    AgentSecrets(String api, File account) {
        this.api = api
        this.account = account
    }

    /** Fill them for as long as Jenkins runs. */
    void keep(Map<String, String> places) {
        boolean told = false
        while (true) {
            boolean good = true
            try {
                HttpClient client = trusting()
                places.each { agent, place -> fill(client, agent, place) }
                if (!told) {
                    LOG.info("the secrets of ${places.keySet().join(', ')} are in their Secrets")
                    told = true
                }
            } catch (Exception error) {
                good = false
                LOG.log(Level.WARNING, "secrets of agents: ${error.message}; it is tried again")
            }
            sleep(good ? AFTER_SUCCESS : AFTER_FAILURE)
        }
    }

    private void fill(HttpClient client, String agent, String place) {
        String secret = Jenkins.get().getComputer(agent)?.jnlpMac
        if (!secret) {
            throw new IOException("there is no node ${agent} yet")
        }
        List<String> parts = place.split('/') as List
        HttpRequest request = HttpRequest.newBuilder(URI.create("${api}/api/v1/namespaces/${parts[0]}/secrets/${parts[1]}"))
            .timeout(Duration.ofSeconds(20))
            .header('Authorization', 'Bearer ' + new File(account, 'token').text.trim())
            .header('Content-Type', 'application/merge-patch+json')
            .method('PATCH', HttpRequest.BodyPublishers.ofString(JsonOutput.toJson([data: [secret: secret.bytes.encodeBase64().toString()]])))
            .build()
        int status = client.send(request, HttpResponse.BodyHandlers.discarding()).statusCode()
        if (status != 200) {
            throw new IOException("the API answers ${status} for the Secret ${place}")
        }
    }

    /** The API's certificate is checked against the cluster's CA, and no other. */
    private HttpClient trusting() {
        KeyStore store = KeyStore.getInstance(KeyStore.defaultType)
        store.load(null, null)
        new File(account, 'ca.crt').withInputStream { stream ->
            CertificateFactory.getInstance('X.509').generateCertificates(stream).eachWithIndex { one, index ->
                store.setCertificateEntry("ca-${index}", one)
            }
        }
        TrustManagerFactory trust = TrustManagerFactory.getInstance(TrustManagerFactory.defaultAlgorithm)
        trust.init(store)
        SSLContext context = SSLContext.getInstance('TLS')
        context.init(null, trust.trustManagers, null)
        HttpClient.newBuilder().sslContext(context).connectTimeout(Duration.ofSeconds(10)).build()
    }
}

Map<String, String> places = (System.getenv('SLIPWAY_AGENTS') ?: '').tokenize().collectEntries { it.split('=') as List }
if (places) {
    String api = System.getenv('SLIPWAY_API') ?: 'https://kubernetes.default.svc'
    File account = new File(System.getenv('SLIPWAY_ACCOUNT') ?: '/var/run/secrets/kubernetes.io/serviceaccount')
    Thread.startDaemon('slipway-agent-secrets') { new AgentSecrets(api, account).keep(places) }
}
