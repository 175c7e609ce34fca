import ArgumentParser

/// The job whose interference is shown, and how it is found or measured.
struct MeasurementOptions: ParsableArguments {
    @Argument(
        help: """
            The name of a finished job at the coordinator, the output directory or report.json of a job, or a job file, \
            of which then only the report is computed, on this machine.
            """)
    var job: String

    @Option(name: .shortAndLong, help: "table or json.")
    var output: OutputFormat = .table

    @Option(help: "How many workers run a job file; together they use all cores.")
    var workers: Int?

    @Option(help: "Memory of each worker, in MiB; by default an equal share of four fifths of what is available.")
    var memory: UInt64?

    @Option(help: "Directory for temporary files. (default: TMPDIR, else /var/tmp)")
    var stateDirectory: String?

    @Flag(name: .shortAndLong, help: "Print no progress.")
    var quiet = false

    @OptionGroup var connection: ConnectionOptions

    /// The options as `kfacctl run` takes them.
    var runArguments: [String] {
        let options = [
            ("--workers", workers.map { "\($0)" }), ("--memory", memory.map { "\($0)" }),
            ("--state-directory", stateDirectory),
        ]
        return options.flatMap { name, value in value.map { ["\(name)=\($0)"] } ?? [] } + (quiet ? ["--quiet"] : [])
    }
}
