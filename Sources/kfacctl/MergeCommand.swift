import ArgumentParser
import Console
import FileAccess
import JobPlan
import SystemPackage
import TaskArithmetic

/// `kfacctl merge`: runs a configuration of mergekit as it is, and writes what `mergekit-yaml` would write.
struct MergeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "merge",
        abstract: "Runs a mergekit configuration on this machine, as mergekit-yaml does.",
        usage: "kfacctl merge [yaml] CONFIG OUT [options]",
        discussion: """
            The model's files are written to OUT itself, with the configuration as mergekit_config.yml. Relative paths \
            in the configuration start at the current directory, as in mergekit. "kfacctl help merge" lists the merge \
            methods.
            """)

    @Argument(
        help: ArgumentHelp(
            "The configuration and the output directory; the word \"yaml\" may stand before them.",
            valueName: "config out"))
    var arguments: [String]

    @Flag(inversion: .prefixedNo, help: "Copy the base's tokenizer.")
    var copyTokenizer = true

    @Option(help: "The most parameters of a file, with K, M or B for thousands, millions or billions.")
    var outShardSize = "5B"

    @Option(help: "Seed of the random numbers of methods that take any.")
    var randomSeed: UInt32?

    @Flag(inversion: .prefixedNo, help: "Write README.md, a model card with the details of the merge.")
    var writeModelCard = true

    @Option(
        help: """
            How the report identifies inputs: "content" reads every file once more for its SHA-256. It precedes the \
            configuration's "kfac.input_digests". (default: header)
            """,
        transform: { word in
            guard let digests = InputDigests(rawValue: word) else {
                throw ValidationError("expected content or header, not \"\(word)\".")
            }
            return digests
        })
    var inputDigests: InputDigests?

    @Flag(help: "Check the configuration and say what the merge would take. Changes nothing.")
    var dryRun = false

    @Flag(help: "Replace the files of an earlier merge in the output directory.")
    var overwrite = false

    @Option(help: "How many workers; together they use all cores.")
    var workers: Int?

    @Option(help: "Memory of each worker, in MiB; by default an equal share of four fifths of what is available.")
    var memory: UInt64?

    @Option(help: "Directory for temporary files. (default: TMPDIR, else /var/tmp)")
    var stateDirectory: String?

    @Flag(name: .shortAndLong, help: "Print no progress and no tables.")
    var quiet = false

    /// The configuration and the output directory.
    private var paths: [String] { arguments.count == 3 && arguments[0] == "yaml" ? Array(arguments[1...]) : arguments }

    func validate() throws {
        guard paths.count == 2 else {
            throw ValidationError("expected a configuration and an output directory: kfacctl merge CONFIG OUT.")
        }
        guard CheckpointSpec.parameterCount(outShardSize) != nil else {
            throw ValidationError(
                "--out-shard-size must be a number of parameters of at least 1, such as 500M or 5B, not "
                    + "\"\(outShardSize)\".")
        }
    }

    func run() async throws {
        var submission = try Submission(file: paths[0], overwrites: overwrite, output: paths[1])
        // mergekit's relative paths start at the current directory.
        let name = FilePath(submission.specPath).lastComponent?.string ?? "job"
        submission.specPath = try WorkingDirectory.absolute(FilePath(name)).string
        submission.specText = try job(from: submission.specText)
        guard !dryRun else { return try await plan(submission) }
        try await RunCommand.parse(runArguments).run(submission)
    }

    /// The configuration, with the options as a second document.
    private func job(from configuration: String) throws -> String {
        guard configuration.contains(where: { !$0.isWhitespace }) else {
            throw CommandFailure(.badInput, "\(paths[0]): is empty; expected a configuration of a merge.")
        }
        let spec = JobSpec.reading(yaml: configuration, fileName: "", output: "/").spec
        // An adapter has neither shards nor a tokenizer.
        let options =
            spec?.checkpoint.adapterRank == nil
            ? ", shard_size: \(outShardSize), copy_tokenizer: \(copyTokenizer)" : ""
        let layout = CheckpointSpec.Layout.flat.rawValue
        var lines = ["checkpoint: {layout: \(layout), model_card: \(writeModelCard)\(options)}"]
        if let randomSeed {
            if spec?.method.isRandom == true {
                lines.append("parameters: {\(MergeParameter.randomSeed.name): \(randomSeed)}")
            } else {
                Terminal.note("note: --random-seed has no effect: the merge method takes no random numbers.")
            }
        }
        if let inputDigests {
            lines.append("kfac: {input_digests: \(inputDigests.rawValue)}")
        } else if spec?.curvature.inputDigests == nil {
            // A merge is bound by reading, and mergekit takes no digests.
            lines.append("kfac: {input_digests: \(InputDigests.header.rawValue)}")
        }
        let end = configuration.hasSuffix("\n") ? "" : "\n"
        return configuration + end + "---\n" + lines.joined(separator: "\n") + "\n"
    }

    private func plan(_ submission: Submission) async throws {
        let job = try await JobCheck.plan(submission, within: RequestPatience().admission)
        let plan = PlanSummary(of: job.plan)
        Terminal.note(plan.notices)
        if !quiet { PlanTable.print(plan) }
    }

    /// The options as `kfacctl run` takes them.
    private var runArguments: [String] {
        let options = [
            ("--workers", workers.map { "\($0)" }), ("--memory", memory.map { "\($0)" }),
            ("--state-directory", stateDirectory),
        ]
        return ["job"] + options.flatMap { name, value in value.map { ["\(name)=\($0)"] } ?? [] }
            + (quiet ? ["--quiet"] : [])
    }
}
