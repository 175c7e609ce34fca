import Foundation

/// A program that computes the cluster job without kfacd, in a process of its own; `peers.py` describes them.
struct Peer {
    /// The name of `--peer`.
    let name: String
    let library: String
    /// What tells it from another peer of the same library.
    var variant = ""
    /// The interpreter; `nil` when none was named that has the peer's library.
    let python: String?
    /// The option that names it.
    let option: String

    /// All peers.
    ///
    /// - Parameters:
    ///   - python: An interpreter that has NumPy.
    ///   - torchPython: An interpreter that has NumPy and PyTorch.
    /// - Returns: The peers, also those without an interpreter.
    static func all(python: String?, torchPython: String?) -> [Peer] {
        [
            Peer(name: "numpy", library: "NumPy", python: python ?? torchPython, option: "--python"),
            Peer(name: "torch", library: "PyTorch", python: torchPython, option: "--torch-python"),
            Peer(
                name: "batches", library: "PyTorch", variant: ", by batches", python: torchPython,
                option: "--torch-python"),
        ]
    }

    /// The numbers that a peer prints.
    struct Result: Decodable {
        /// The library and its version.
        var version: String
        var wallSeconds: Double
        var startSeconds: Double
        var readSeconds: Double
        var computeSeconds: Double
        var writeSeconds: Double
        var syncSeconds: Double
        var peakMebibytes: Int
        /// ‖x − y‖ / ‖y‖ of the matrix that is farthest from kfacd's.
        var largestDifference: Double

        static let phaseTitles = ["start", "read", "compute", "write", "fsync"]

        /// The seconds of each phase.
        var phases: [Double] { [startSeconds, readSeconds, computeSeconds, writeSeconds, syncSeconds] }
    }

    /// The largest difference of a program that computes the same as kfacd; rounding is a thousand times smaller.
    private static let differenceMax = 1e-3

    /// Runs the peer; its files are removed afterwards.
    ///
    /// - Parameters:
    ///   - python: The interpreter.
    ///   - directory: The directory of the base and the captures.
    ///   - captures: The directory of the captures.
    ///   - reference: The output directory of kfacd.
    ///   - withInverses: Whether regularizers and inverses are computed too.
    ///   - threads: The number of its threads.
    /// - Returns: What it printed.
    /// - Throws: ``ScriptFailure``, and ``DifferentOutputs`` when it computes something else than kfacd.
    func run(
        _ python: String, in directory: String, captures: String, reference: String, withInverses: Bool, threads: Int
    ) throws -> Result {
        let output = "\(directory)/peer"
        try? FileManager.default.removeItem(atPath: output)
        defer { try? FileManager.default.removeItem(atPath: output) }
        var arguments = [
            "--peer", name, "--base", "\(directory)/base.safetensors", "--captures", captures, "--output", output,
            "--compare", reference,
        ]
        if withInverses { arguments.append("--inverses") }
        let result: Result = try PythonScript(python: python, name: "peers.py").run(arguments, threads: threads)
        guard result.largestDifference <= Self.differenceMax else {
            throw DifferentOutputs(program: result.version + variant, difference: result.largestDifference)
        }
        return result
    }
}

/// A peer and kfacd have different outputs, so their times cannot be compared.
struct DifferentOutputs: Error, CustomStringConvertible {
    let program: String
    let difference: Double

    var description: String {
        "\(program): a matrix differs by \(difference) of its norm from that of kfacd; expected only rounding. One of them "
            + "computes something else: compare the conventions at the top of Benchmarks/peers.py with the job."
    }
}
