import Foundation
import TestSupport
import Testing

extension SerialIntegrationTests {
    /// The work of a user with a coordinator that keeps running: submit, watch, fetch, cancel.
    @Suite struct ClientCommandTests {
        private let model: SmallModel

        init() throws { model = try SmallModel() }

        @Test func `a submitted job is watched to its end and fetched as it is`() async throws {
            try await Cluster.with { cluster in
                try cluster.startWorker("worker")
                let result = try await cluster.client("submit", model.jobPath, "--watch")
                try #require(result.exitCode == 0, "\(result.errors)")
                let job = result.output.trimmingCharacters(in: .whitespacesAndNewlines)
                #expect(job == "job-1")
                let status = try await cluster.status(job)
                #expect(status.state == "succeeded")
                #expect(status.finishedUnits == status.totalUnits)
                #expect(status.output == model.outputPath)
                let copy = model.directory.appending("copy")
                let fetched = try await cluster.client("fetch", job, copy)
                try #require(fetched.exitCode == 0, "\(fetched.errors)")
                #expect(OutputTree.paths(below: copy) == OutputTree.paths(below: model.outputPath))
                try requireSameBytes(copy, model.outputPath)
                let jobs = try await cluster.client("jobs", "--output", "json")
                #expect(try jobs.json["apiVersion"] as? String == "kfacd/1")
            }
        }

        @Test func `what was logged about a job is printed, followed to its end, and told of no other`() async throws {
            try await Cluster.with { cluster in
                let job = try await cluster.submit(model.jobPath)
                let begun = try await cluster.client("logs", job)
                #expect(begun.exitCode == 0)
                #expect(begun.output.contains("job accepted job=\(job) "))
                try cluster.startWorker("worker")
                let followed = try await cluster.client("logs", job, "--follow")
                #expect(followed.exitCode == 0)
                #expect(followed.output.hasPrefix(begun.output))
                #expect(followed.output.contains(" job progresses job=\(job) "))
                #expect(
                    followed.output.split(separator: "\n").last?.hasSuffix(" job ended job=\(job) outcome=succeeded")
                        == true)
                #expect(!followed.output.contains("worker joined"))
                let lines = try await cluster.client("logs", job, "--output", "json").json["lines"] as? [[String: Any]]
                #expect(lines?.count == followed.output.split(separator: "\n").count)
                let unknown = try await cluster.client("logs", "job-7")
                #expect(unknown.exitCode == 2)
                #expect(unknown.errors.contains("there is no such job"))
            }
        }

        @Test func `help names every merge method, and explains one with its parameters`() async throws {
            func help(_ topics: String...) async throws -> CommandResult {
                try await Client.run(["help"] + topics, in: model.directory)
            }
            let all = try await help("merge")
            #expect(all.exitCode == 0 && all.errors == "")
            for method in ["task_arithmetic", "linear", "weighted_average", "kfac"] {
                #expect(all.output.contains("\n\(method) "))
                let one = try await help("merge", method)
                #expect(one.exitCode == 0)
                #expect(one.output.hasPrefix("\(method): "))
                #expect(one.output.contains("\nweight     a number *       1"))
            }
            let unknown = try await help("merge", "linaer")
            #expect(unknown.exitCode == 2)
            #expect(unknown.errors.contains("no merge method \"linaer\". Did you mean \"linear\"?"))
            let command = try await help("submit")
            #expect(command.exitCode == 0 && command.output.contains("USAGE: kfacctl submit"))
            let unknownCommand = try await help("sumbit")
            #expect(unknownCommand.exitCode == 2 && unknownCommand.errors.contains("Did you mean \"submit\"?"))
            let misspelt = try await Client.run(["sumbit", "job.yaml"], in: model.directory)
            #expect(misspelt.exitCode == 2)
            #expect(
                misspelt.errors == "error: there is no command \"sumbit\". Did you mean \"submit\"? \"kfacctl help\" "
                    + "lists them.\n")
            let loud = try await Client.run(["run", "job.yaml", "--log-level", "loud"], in: model.directory)
            #expect(loud.exitCode == 2)
            #expect(loud.errors.contains("--log-level must be one of trace, debug"), "\(loud.errors)")
            #expect(try await help().output.contains("SUBCOMMANDS:"))
        }

        @Test func `a place that cannot take a file is said before any is fetched`() async throws {
            try await Cluster.with { cluster in
                try cluster.startWorker("worker")
                let job = try await cluster.submit(model.jobPath)
                try await cluster.waitForSuccess(job)
                let copy = model.directory.appending("copy")
                // A directory has the report's name, and no file can replace it.
                try FileManager.default.createDirectory(
                    atPath: "\(copy)/report.json", withIntermediateDirectories: true)
                let fetched = try await cluster.client("fetch", job, copy)
                #expect(fetched.exitCode == 2)
                #expect(
                    fetched.errors.contains("holds \"report.json\" and no .kfacd-manifest.json"), "\(fetched.errors)")
                #expect(OutputTree.paths(below: copy) == [])
            }
        }

        @Test func `the same job again is the running one, and another may not share its output`() async throws {
            try await Cluster.with { cluster in
                // There is no worker, so the job runs until one starts.
                let job = try await cluster.submit(model.jobPath)
                #expect(try await cluster.submit(model.jobPath) == job)
                model.job.method = "weighted_average"
                let other = model.directory.appending("other.yaml")
                try model.job.write(to: other)
                let refused = try await cluster.client("submit", other)
                #expect(refused.exitCode == 2)
                #expect(
                    refused.errors.contains("the output directory \(model.outputPath) is that of \(job)"),
                    "\(refused.errors)")
                try cluster.startWorker("worker")
                try await cluster.waitForSuccess(job)
            }
        }

        @Test func `a cancelled job leaves nothing and the next one runs`() async throws {
            let large = try LargeModel()
            let output = large.directory.appending("out")
            try await Cluster.with(startingOver: output) { cluster in
                try cluster.startWorker("worker")
                let job = try await cluster.submit(try large.writeJob(output: output))
                try await cluster.holdWorkers(job, units: 5)
                let cancelled = try await cluster.client("cancel", job)
                try #require(cancelled.exitCode == 0, "\(cancelled.errors)")
                // The current units end although nobody wants their results.
                cluster.resumeWorkers()
                try await eventually("the end of \(job)") {
                    try await cluster.status(job).state == "cancelled"
                }
                try await eventually("the removal of what was staged") {
                    !FileManager.default.fileExists(atPath: output)
                }
                #expect(try await cluster.client("watch", job).exitCode == 1)
                try await cluster.waitForSuccess(try await cluster.submit(model.jobPath))
                // No file came back after the cancellation.
                #expect(!FileManager.default.fileExists(atPath: output))
            }
        }

        @Test func `a job that fails leaves the others alone`() async throws {
            let bad = try SmallModel(seed: 2)
            try bad.changeCapture("beta", "fc.input") { $0.replacing(0, with: .infinity) }
            try bad.write()
            try await Cluster.with { cluster in
                let (first, second) = (try await cluster.submit(bad.jobPath), try await cluster.submit(model.jobPath))
                try cluster.startWorker("worker")
                try await cluster.waitForSuccess(second)
                let failed = try await cluster.client("watch", first)
                #expect(failed.exitCode == 2)
                #expect(failed.errors.contains("tensor \"fc.input\" holds NaN or infinity"), "\(failed.errors)")
                #expect(try await cluster.status(first).state == "bad_input")
                #expect(!FileManager.default.fileExists(atPath: bad.outputPath))
                let copy = bad.directory.appending("copy")
                #expect(try await cluster.client("fetch", first, copy).exitCode == 1)
                #expect(!FileManager.default.fileExists(atPath: copy))
            }
        }

        @Test func `an output directory may be given in place of the job file's`() async throws {
            let output = model.directory.appending("elsewhere")
            try await Client.runJob(model.jobPath, in: model.directory, options: ["--quiet", "--output", output])
            #expect(OutputTree.paths(below: output).contains("report.json"))
            #expect(!FileManager.default.fileExists(atPath: model.outputPath))
        }

        @Test func `a plan names the units that the run will have and changes nothing`() async throws {
            let before = OutputTree.paths(below: model.directory.path)
            let plan = try await Client.run(["plan", model.jobPath, "--output", "json"], in: model.directory)
            try #require(plan.exitCode == 0, "\(plan.errors)")
            #expect(OutputTree.paths(below: model.directory.path) == before)
            let stages = try #require(try plan.json["stages"] as? [[String: Any]])
            let units = stages.compactMap { $0["units"] as? Int }.reduce(0, +)
            try await Cluster.with { cluster in
                try cluster.startWorker("worker")
                let job = try await cluster.submit(model.jobPath)
                #expect(try await cluster.waitForSuccess(job).totalUnits == units)
            }
        }
    }
}
