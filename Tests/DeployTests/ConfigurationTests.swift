import TaskArithmetic
import Testing
import Yams

/// The configuration files and manual pages name exactly the settings of the programs.
struct ConfigurationTests {
    private let settings: DeclaredSettings
    /// Settings that the unit sets, or that make no sense in a service's file.
    private let elsewhere: Set<String> = ["config", "end-with-input", "name", "cache-directory"]

    init() throws { settings = try DeclaredSettings() }

    /// The keys in the comments of a configuration file.
    private func keys(of path: String) throws -> Set<String> {
        let lines = try DeployedFile(path).text.split(separator: "\n")
        let examples = lines.filter { $0.wholeMatch(of: /#[a-z-]+: .+/) != nil }.map { $0.dropFirst() }
        let mapping = try #require(try Yams.compose(yaml: examples.joined(separator: "\n"))?.mapping)
        return Set(mapping.keys.compactMap(\.string))
    }

    @Test func `the example files hold every setting of their daemon`() throws {
        let coordinator = settings.coordinator.subtracting(elsewhere)
        #expect(coordinator.contains("bind"))
        #expect(try keys(of: "Deploy/package/etc/kfacd/coordinator.yaml") == coordinator)
        #expect(try keys(of: "Deploy/package/etc/kfacd/worker.yaml") == settings.worker.subtracting(elsewhere))
    }

    @Test func `the manual page names every setting`() throws {
        let page = try DeployedFile("Deploy/package/usr/share/man/man5/kfacd-configuration.5")
        let named = Set(page.matches(/\.It Sy ([^\n]+)/).flatMap { $0.split(separator: " ") }.map(String.init))
        let all = settings.coordinator.union(settings.worker).subtracting(["config", "end-with-input"])
        #expect(named.subtracting([","]) == all)
    }

    @Test func `the manual page names every compute backend of a worker`() throws {
        let page = try DeployedFile("Deploy/package/usr/share/man/man5/kfacd-configuration.5")
        let list = try #require(page.matches(/\.It Sy backend\n((?:(?!\.El\n).*\n)*)/).first)
        let files = try DeployedFile.sources(below: "Sources/WorkerService").filter {
            $0.path.hasSuffix("FactorBackend.swift")
        }
        let names = files.flatMap { $0.matches(/var name: String \{ "([a-z0-9]+)" \}/) }
        // One file holds the protocol.
        #expect(names.count == files.count - 1)
        #expect(names.contains("blas"))
        #expect(list.matches(of: /\.It Ic ([a-z0-9]+)/).map { String($0.1) }.sorted() == names.sorted())
    }

    @Test func `the manual page of the job file names every key that its reader knows, and no other`() throws {
        let readers = try DeployedFile.sources(below: "Sources/JobPlan").filter { $0.path.contains("/JobFileReader") }
        let lists = readers.flatMap {
            $0.matches(/(?:let keys =|let (?:job|model|source|regularizer)Keys =|keys:)\s*\[([^\]]*)\]/)
        }
        let written = Set(lists.flatMap { list in list.matches(of: /"([a-z0-9_]+)"/).map { String($0.1) } })
        let known = written.union(MergeMethod.allParameters.map(\.name)).union(MergeParameter.acceptedWithoutEffect)
        let page = try DeployedFile("Deploy/package/usr/share/man/man5/kfacd-job.5")
        let entries = page.matches(/\.It Sy ([^\n]+)/).flatMap { $0.split(separator: " ") }.filter { $0 != "," }
        let named = Set(entries.compactMap { entry in entry.split(separator: ".").last.map(String.init) })
        #expect(known.count > 30)
        #expect(named == known)
    }

    @Test(arguments: ["kfacd-coordinator.service", "kfacd-worker@.service"])
    func `a unit sets variables that its daemon knows`(unit: String) throws {
        let file = try DeployedFile("Deploy/package/usr/lib/systemd/system/\(unit)")
        let variables = file.matches(/Environment=([A-Z_]+)=/).filter { $0 != "OPENBLAS_NUM_THREADS" }
        #expect(variables.filter { !settings.declares(variable: $0) }.isEmpty)
        #expect(file.unitValue("RestartPreventExitStatus") == "2")
        #expect(file.unitValue("Type") == "notify")
    }
}
