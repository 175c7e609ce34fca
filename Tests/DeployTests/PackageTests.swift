import Foundation
import Testing

/// The package, the container and the batch script use files that the project has.
@Suite(.timeLimit(.minutes(5)))
struct PackageTests {
    @Test func `the container builds with the packages of install-dependencies, and runs what the package holds`()
        throws
    {
        let container = try DeployedFile("Deploy/container/Containerfile")
        let needed = try #require(try DeployedFile("Deploy/install-dependencies").matches(/packages=\(([^)]+)\)/).first)
        let words = Set(container.text.split { $0.isWhitespace }.map(String.init))
        #expect(needed.split { $0.isWhitespace }.filter { !words.contains(String($0)) }.isEmpty)
        #expect(container.text.contains("RUN Deploy/debian/build --output /package"))
        #expect(container.text.contains("COPY --from=build /package/*.deb"))
        #expect(container.text.contains("\"/usr/bin/kfacd\""))
        #expect(try DeployedFile("Deploy/debian/build").text.contains("stripped_programs \"$tree/usr/bin\""))
    }

    @Test func `the units' directories are those of the package and the container`() throws {
        let unit = try DeployedFile("Deploy/package/usr/lib/systemd/system/kfacd-coordinator.service")
        let container = try DeployedFile("Deploy/container/Containerfile").text
        #expect(unit.unitValue("StateDirectory") == "kfacd")
        #expect(unit.unitValue("ReadWritePaths") == "-/srv/kfacd")
        let worker = try DeployedFile("Deploy/package/usr/lib/systemd/system/kfacd-worker@.service")
        #expect(worker.unitValue("ReadWritePaths") == "-/srv/kfacd")
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

    @Test func `the wheels have the version of the programs, and documents name the glibc that they need`() throws {
        let version = try DeployedFile("Sources/Telemetry/Build.swift").matches(/static let version = "([^"]+)"/)
        #expect(version.count == 1)
        let project = try DeployedFile("Python/pyproject.toml")
        #expect(project.matches(/\nversion = "([^"]+)"/) == version)
        #expect(project.matches(/"kfacd-programs==([^"]+)"/) == version)
        let glibc = try DeployedFile("Deploy/wheels/build").matches(/oldest_glibc=([0-9.]+)/)
        for document in ["Deploy/README.md", "Python/README.md", "CHANGELOG.md"] {
            #expect(try DeployedFile(document).matches(/glibc ([0-9.]+[0-9])/) == glibc, "\(document)")
        }
    }

    /// Every shell script of the project.
    private static let scripts = [
        ".ci/run", "Deploy/debian/build", "Deploy/debian/postinst", "Deploy/debian/postrm", "Deploy/debian/prerm",
        "Deploy/install-dependencies", "Deploy/quickstart", "Deploy/slurm/kfacd.sbatch", "Deploy/test", "Python/check",
        "Deploy/wheels/build", "Examples/eight-tasks/unpack", "Fuzz/run", "Tests/Systemd/boot", "Tests/Systemd/run",
        "Tests/Wheels/enter", "Tests/Wheels/run",
    ]

    @Test(.enabled(if: Git.isThere, Git.reason))
    func `every shell script that git keeps is among those that are checked`() throws {
        let (status, output) = try OutsideProgram.run(["git", "grep", "-l", "-E", "-e", "^#!.*[/ ](ba|da)?sh$"])
        #expect(status == 0, "\(output)")
        #expect(output.split(separator: "\n").map(String.init).sorted() == Self.scripts.sorted())
    }

    @Test(.enabled(if: Git.isThere, Git.reason))
    func `the container's build leaves out nothing that git keeps, or its commit would be a dirty one`() throws {
        let (status, output) = try OutsideProgram.run([
            "git", "ls-files", "--cached", "--ignored", "--exclude-from=.dockerignore",
        ])
        #expect(status == 0)
        #expect(output.isEmpty)
    }

    @Test(.enabled(if: Shellcheck.isThere, Shellcheck.reason), arguments: scripts)
    func `shellcheck finds nothing in a script`(path: String) throws {
        let (status, output) = try OutsideProgram.run(["shellcheck", "--external-sources", "--check-sourced", path])
        #expect(status == 0, "\(output)")
    }

    @Test(arguments: scripts)
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

/// The checker of shell scripts.
private enum Shellcheck {
    static let reason: Comment = "there is no shellcheck (Debian: shellcheck)"

    static var isThere: Bool { (try? OutsideProgram.run(["shellcheck", "--version"]))?.status == 0 }
}

/// Lists the project's files, if they are in a working copy.
private enum Git {
    static let reason: Comment = "this is no working copy of git"

    static var isThere: Bool { (try? OutsideProgram.run(["git", "ls-files"]))?.status == 0 }
}
