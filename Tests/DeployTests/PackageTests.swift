import Foundation
import Testing

/// The package, the container and the batch script use what the project has.
@Suite(.timeLimit(.minutes(2)))
struct PackageTests {
    @Test func `the container builds with the packages of install-dependencies, and runs what the package holds`()
        throws
    {
        let container = try DeployedFile("Deploy/container/Containerfile")
        let needed = try #require(try DeployedFile("Deploy/install-dependencies").matches(/packages=\(([^)]+)\)/).first)
        let words = Set(container.text.split { $0.isWhitespace }.map(String.init))
        #expect(needed.split(separator: " ").filter { !words.contains(String($0)) }.isEmpty)
        #expect(container.text.contains("RUN Deploy/debian/build --output /package"))
        #expect(container.text.contains("COPY --from=build /package/*.deb"))
        #expect(container.text.contains("\"/usr/bin/kfacd\""))
        #expect(try DeployedFile("Deploy/debian/build").text.contains("$tree/usr/bin/$program"))
    }

    @Test func `the units' directories are those of the package and the container`() throws {
        let unit = try DeployedFile("Deploy/package/usr/lib/systemd/system/kfacd-coordinator.service")
        let container = try DeployedFile("Deploy/container/Containerfile").text
        #expect(unit.unitValue("StateDirectory") == "kfacd")
        #expect(unit.unitValue("ReadWritePaths") == "-/srv/kfacd")
        #expect(container.contains("/var/lib/kfacd /var/cache/kfacd /srv/kfacd"))
        #expect(try DeployedFile("Deploy/debian/postrm").text.contains("in /var/lib/kfacd /var/cache/kfacd;"))
    }

    @Test func `the batch script uses options that the programs have`() throws {
        let script = try DeployedFile("Deploy/slurm/kfacd.sbatch")
        let settings = try DeclaredSettings()
        let commands = script.text.replacing("\\\n", with: " ").split(separator: "\n")
        for (daemon, names) in [("coordinator", settings.coordinator), ("worker", settings.worker)] {
            let line = try #require(commands.first { $0.contains("kfacd \(daemon) --") })
            let options = try #require(line.split(separator: "kfacd \(daemon)").last).matches(of: /--([a-z-]+)/)
            #expect(options.count >= 4)
            #expect(options.map { String($0.1) }.filter { !names.contains($0) }.isEmpty)
        }
        for directive in ["--signal=B:TERM@120", "--requeue", "--open-mode=append"] {
            #expect(script.text.contains("#SBATCH \(directive)\n"))
        }
    }

    @Test(arguments: [
        "Deploy/slurm/kfacd.sbatch", "Deploy/debian/build", "Deploy/debian/postinst", "Deploy/debian/prerm",
        "Deploy/debian/postrm", "Tests/Systemd/run", "Tests/Systemd/boot",
    ])
    func `a script has no mistake of syntax, and may be executed where it must`(path: String) throws {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/bin/bash")
        process.arguments = ["-n", DeployedFile.root.appending(path: path).path]
        try process.run()
        process.waitUntilExit()
        #expect(process.terminationStatus == 0)
        let isMaintainerScript = path.hasPrefix("Deploy/debian/p")
        #expect(isMaintainerScript || FileManager.default.isExecutableFile(atPath: process.arguments?.last ?? ""))
    }
}
