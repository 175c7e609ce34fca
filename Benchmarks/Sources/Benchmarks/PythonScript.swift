import Foundation

/// A script of this directory that is measured beside kfacd; it prints one line of JSON.
struct PythonScript {
    /// A path, or a name on PATH.
    let python: String
    /// The script's name below `Benchmarks`.
    let name: String

    /// Runs the script in a process of its own.
    ///
    /// - Parameters:
    ///   - arguments: Its arguments.
    ///   - threads: The threads of NumPy and of PyTorch.
    /// - Returns: What it printed.
    /// - Throws: ``ScriptFailure`` when it fails or prints something else.
    func run<Result: Decodable>(_ arguments: [String], threads: Int) throws -> Result {
        let process = Process()
        let output = Pipe()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = [python, Checkout.path("Benchmarks/\(name)")] + arguments
        // The libraries of some builds would prefer their own variable, if it is set.
        let limits = ["OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"].map { ($0, "\(threads)") }
        process.environment = ProcessInfo.processInfo.environment.merging(limits) { $1 }
        process.standardOutput = output
        try process.run()
        let data = output.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        guard process.terminationStatus == 0, let result = try? decoder.decode(Result.self, from: data) else {
            throw ScriptFailure(python: python, script: name)
        }
        return result
    }
}

/// A program that is measured beside ours gave no numbers.
struct ScriptFailure: Error, CustomStringConvertible {
    let python: String
    let script: String

    var description: String {
        "\(python) Benchmarks/\(script) gave no result. Its message is above; has this interpreter all modules that the "
            + "script imports?"
    }
}
