import Foundation
import Testing
import Yams

/// The manifests match each other, the package and the programs.
@Suite(.timeLimit(.minutes(5)))
struct KubernetesTests {
    private static let files = ["volumes", "coordinator", "worker", "network"].map { "Deploy/kubernetes/\($0).yaml" }
    private let documents: [Node]
    private let settings: DeclaredSettings

    init() throws {
        documents = try Self.files.flatMap { try DeployedFile($0).documents() }
        settings = try DeclaredSettings()
    }

    private func documents(_ kind: String) -> [Node] { documents.filter { $0["kind"]?.string == kind } }

    /// The templates of pods, by the name of the object that creates them.
    private var pods: [(name: String, pod: Node)] {
        (documents("Deployment") + documents("StatefulSet")).compactMap { owner in
            guard let name = owner["metadata"]?["name"]?.string, let pod = owner["spec"]?["template"] else {
                return nil
            }
            return (name, pod)
        }
    }

    private func texts(_ node: Node?, _ key: String) -> [String] {
        node?.sequence.map(Array.init)?.compactMap { $0[key]?.string } ?? []
    }

    @Test func `the kustomization names every manifest, and the version of the programs`() throws {
        let kustomization = try #require(try DeployedFile("Deploy/kubernetes/kustomization.yaml").documents().first)
        let resources = try #require(kustomization["resources"]?.sequence.map(Array.init))
        #expect(resources.compactMap { $0.string.map { "Deploy/kubernetes/\($0)" } } == Self.files)
        let version = try DeployedFile("Sources/Telemetry/Build.swift").matches(/version = "([^"]+)"/).first
        #expect(kustomization["images"]?[0]?["newTag"]?.string == version)
    }

    @Test func `a pod ends as slowly as the service, as the container's user, and may change nothing else`() throws {
        let unit = try DeployedFile("Deploy/package/usr/lib/systemd/system/kfacd-worker@.service")
        let container = try DeployedFile("Deploy/container/Containerfile")
        let user = try #require(container.matches(/USER (\d+):/).first)
        #expect(pods.map(\.name) == ["kfacd-coordinator", "kfacd-worker"])
        for (_, pod) in pods {
            let spec = try #require(pod["spec"])
            #expect(spec["terminationGracePeriodSeconds"]?.string == unit.unitValue("TimeoutStopSec"))
            #expect(spec["securityContext"]?["runAsUser"]?.string == user)
            #expect(spec["enableServiceLinks"]?.bool == false)
            let security = try #require(spec["containers"]?[0]?["securityContext"])
            #expect(security["readOnlyRootFilesystem"]?.bool == true)
            #expect(security["allowPrivilegeEscalation"]?.bool == false)
            #expect(security["capabilities"]?["drop"]?[0]?.string == "ALL")
        }
    }

    @Test func `what a pod mounts is a volume of it`() throws {
        for (name, pod) in pods {
            let mounted = texts(pod["spec"]?["containers"]?[0]?["volumeMounts"], "name")
            let owner = try #require(documents.first { $0["spec"]?["template"] == pod })
            let claims = owner["spec"]?["volumeClaimTemplates"]?.sequence.map(Array.init) ?? []
            let volumes = texts(pod["spec"]?["volumes"], "name") + claims.compactMap { $0["metadata"]?["name"]?.string }
            #expect(Set(mounted) == Set(volumes), "\(name)")
        }
    }

    @Test func `every variable is a setting of the daemons`() {
        for (_, pod) in pods {
            let names = texts(pod["spec"]?["containers"]?[0]?["env"], "name").filter { $0.hasPrefix("KFACD_") }
            #expect(names.count >= 4)
            #expect(names.filter { !settings.declares(variable: $0) }.isEmpty)
        }
    }

    @Test func `every service leads to the ports of a pod with its labels`() throws {
        for service in documents("Service") {
            let selector = try #require(service["spec"]?["selector"])
            let pod = try #require(pods.first { $0.pod["metadata"]?["labels"] == selector }).pod
            let ports = texts(pod["spec"]?["containers"]?[0]?["ports"], "name")
            let targets = texts(service["spec"]?["ports"], "targetPort")
            #expect(Set(targets).isSubset(of: ports))
        }
    }

    @Test func `probes ask for pages that the daemons serve`() throws {
        let served = try DeployedFile.sources(below: "Sources/StatusServer").map(\.text).joined()
        for (_, pod) in pods {
            for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
                let request = try #require(pod["spec"]?["containers"]?[0]?[probe]?["httpGet"])
                let page = try #require(request["path"]?.string).dropFirst()
                #expect(served.contains("\"\(page)\"") || served.contains("\"/\(page)\""))
                #expect(request["port"]?.string == "http")
            }
        }
    }

    /// The monitors are not among the files above, because Kubernetes' schemas do not cover the operator's resources.
    @Test func `each monitor finds the pods of one daemon, under the name by which the alerts know it`() throws {
        let monitors = try DeployedFile("Deploy/kubernetes/monitoring/podmonitor.yaml").documents()
        #expect(monitors.compactMap { $0["metadata"]?["name"]?.string } == pods.map(\.name))
        for (monitor, owner) in zip(monitors, pods) {
            #expect(monitor["apiVersion"]?.string == "monitoring.coreos.com/v1")
            #expect(monitor["kind"]?.string == "PodMonitor")
            let labels = try #require(monitor["spec"]?["selector"]?["matchLabels"])
            #expect(labels == owner.pod["metadata"]?["labels"])
            let endpoint = try #require(monitor["spec"]?["podMetricsEndpoints"]?[0])
            let port = try #require(endpoint["port"]?.string)
            let ports = texts(owner.pod["spec"]?["containers"]?[0]?["ports"], "name")
            #expect(ports.contains(port))
            #expect(endpoint["path"]?.string == "/metrics")
            let relabeling = try #require(endpoint["relabelings"]?[0])
            #expect(relabeling["targetLabel"]?.string == "job")
            #expect(relabeling["replacement"]?.string == owner.name)
        }
        let asked = try DeployedFile("Deploy/prometheus/kfacd.rules.yaml").matches(/job="([a-z-]+)"/)
        #expect(Set(asked) == Set(pods.map(\.name)))
    }

    @Test(.enabled(if: SchemaValidator.isThere, SchemaValidator.reason))
    func `the manifests are what the schemas of Kubernetes ask for`() throws {
        for file in Self.files {
            let (status, output) = try SchemaValidator.run(file)
            #expect(status == 0, "\(output)")
        }
    }
}

/// kubernetes-validate of PyPI, which includes the published schemas.
private enum SchemaValidator {
    static let reason: Comment = "KFACD_PYTHON names no Python with kubernetes-validate"

    static var isThere: Bool { (try? run("--version"))?.status == 0 }

    static func run(_ argument: String) throws -> (status: Int32, output: String) {
        guard let python = ProcessInfo.processInfo.environment["KFACD_PYTHON"] else { return (1, "") }
        let program = "import sys; from kubernetes_validate.__main__ import main; sys.exit(main())"
        return try OutsideProgram.run([python, "-c", program, "--strict", argument])
    }
}
